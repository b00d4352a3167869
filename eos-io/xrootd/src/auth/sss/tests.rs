//! Blobs are compared byte by byte with those that another client made for the same key, time, address and random
//! numbers, and that a server of XRootD 5.5 accepts.

use std::os::unix::fs::PermissionsExt;

use super::super::tests::peer;
use super::*;

const KEYTAB: &str = "0 u:tester g:testers n:testkey N:7711072949096153089 c:1795374078 e:0 f:0 \
                      k:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
const NOW: u64 = 1_795_374_100;
const HEADER_WITH_NAME: &str = "73737300000008306b033bfe00000001746573746b657900";
const HEADER_WITHOUT_NAME: &str = "73737300000000306b033bfe00000001";
const PACKET: &str = "0c83397889044d79077ab31077a9562c25a9112fa1692d7b0ef321de9a1d1d925a09fd00574933f81c542e8bf4dc4bbbe9fa\
                      5a72e5803ffdd5066c63400ae70133af411e6393e687802d02f64df29b06627f44832b08894d86db7b31812eca12c3b232c5\
                      62f174e9cf12d3cd3d7262fb34556e1e5abf1e543f888924503aac7e356b6272d69479";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A nonce of 0, 1, 2, …, and a filler of 0xff.
fn random() -> [u8; SHORTEST] {
    std::array::from_fn(|at| if at < 32 { u8::try_from(at).expect("small") } else { 0xff })
}

fn keytab(text: &str) -> Result<Keytab, AuthError> {
    Keytab::parse(Path::new("/etc/test.keytab"), text.as_bytes())
}

fn sealed(named_keys: bool, peer: &Peer) -> String {
    let keytab = keytab(KEYTAB).expect("a keytab");
    hex(&seal(keytab.usable(NOW).expect("a key"), named_keys, peer, NOW, &random()).expect("a blob"))
}

#[test]
fn the_blob_is_the_one_that_another_client_makes() {
    assert_eq!(sealed(true, &peer("", false)), format!("{HEADER_WITH_NAME}{PACKET}"));
}

#[test]
fn an_old_server_gets_no_key_name() {
    assert_eq!(sealed(false, &peer("", false)), format!("{HEADER_WITHOUT_NAME}{PACKET}"));
}

#[test]
fn an_address_of_ipv4_looks_the_same_on_a_socket_of_ipv6() {
    let mapped = Peer { local: "[::ffff:127.0.0.1]:40001".parse().expect("an address"), ..peer("", false) };
    assert_eq!(sealed(true, &mapped), sealed(true, &peer("", false)));
}

#[test]
fn the_arguments_of_a_server_are_understood() {
    let parsed = |text| Arguments::parse(text).map(|arguments| (arguments.named_keys, arguments.keytab));
    assert_eq!(parsed("0.+13:"), Ok((true, None)));
    assert_eq!(parsed("0.13:/etc/eos.keytab"), Ok((false, Some(PathBuf::from("/etc/eos.keytab")))));
    assert!(parsed("9.+13:").is_err());
}

#[test]
fn the_first_key_that_is_valid_is_used() {
    let text = "# keys\n\n0 n:old N:1 c:1 e:100 k:00\n0 n:new N:2 c:2 e:9999999999 k:01\n0 n:other N:3 c:3 e:0 k:02\n";
    assert_eq!(keytab(text).expect("a keytab").usable(NOW).expect("a key").name, "new");
}

#[test]
fn a_keytab_whose_keys_have_all_expired_says_so() {
    let error = keytab("0 n:old N:1 c:1 e:100 k:00\n").expect("a keytab").usable(NOW).expect_err("expired").to_string();
    assert_eq!(error, "the keytab /etc/test.keytab holds expired keys only");
    let error = keytab("\n").expect("a keytab").usable(NOW).expect_err("empty").to_string();
    assert_eq!(error, "the keytab /etc/test.keytab holds no key");
}

#[test]
fn a_wrong_line_is_named_without_its_secret() {
    for (line, what) in [
        ("0 n:a N:1 k:0xdeadbeef", "(k:)"),
        ("0 n:a N:1 k:deadbee", "(k:)"),
        ("0 n:a N:1 k:", "(k:)"),
        ("0 n:a N:x k:deadbeef", "(N:)"),
        ("0 N:1 k:deadbeef", "(n:)"),
        ("deadbeef", "version"),
    ] {
        let error = keytab(&format!("0 n:good N:1 k:00\n{line}\n")).expect_err(line);
        assert!(error.reason.contains("line 2") && error.reason.contains(what), "{error}");
        assert!(!error.reason.contains("deadbee"), "{error}");
    }
}

#[test]
fn debug_output_does_not_show_keys() {
    let debug = format!("{:?}", keytab(KEYTAB));
    assert!(debug.contains("testkey") && !debug.contains("1e1f") && !debug.contains("30, 31"), "{debug}");
}

#[test]
fn a_key_too_long_for_the_cipher_is_refused() {
    let keytab = keytab(&format!("0 n:long N:1 k:{}", "00".repeat(57))).expect("a keytab");
    assert!(seal(keytab.usable(NOW).expect("a key"), true, &peer("", false), NOW, &random()).is_none());
}

/// A method in an environment with this home and these variables.
fn sss(arguments: &str, home: &Path, variables: &[(&str, &str)]) -> Sss {
    let home_text = home.display().to_string();
    let mut all = vec![("HOME", home_text.as_str())];
    all.extend_from_slice(variables);
    let environment = Environment::with(&all, rustix::process::geteuid().as_raw(), home);
    Sss::new(arguments, &peer("", false), environment)
}

/// A keytab that has one key, with this name.
fn write_keytab(path: &Path, name: &str, mode: u32) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
    std::fs::write(path, format!("0 u:u g:g n:{name} N:1 c:1 e:0 k:00010203\n")).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permitted");
}

fn key_in_use(mut sss: Sss) -> String {
    let blob = sss.begin().expect("a blob");
    let length = usize::from(blob[6]);
    String::from_utf8_lossy(&blob[16..16 + length]).trim_end_matches('\0').to_owned()
}

#[test]
fn keytabs_are_looked_for_in_the_variable_then_at_home_then_where_the_server_says() {
    let home = tempfile::tempdir().expect("a directory");
    let (named, site) = (home.path().join("named"), home.path().join("site"));
    write_keytab(&named, "named", 0o600);
    write_keytab(&home.path().join(".xrd/sss.keytab"), "home", 0o600);
    write_keytab(&site, "site", 0o600);
    let arguments = format!("0.+13:{}", site.display());
    let variable = named.display().to_string();

    assert_eq!(key_in_use(sss(&arguments, home.path(), &[("XrdSecSSSKT", &variable)])), "named");
    assert_eq!(key_in_use(sss(&arguments, home.path(), &[("XrdSecsssKT", &variable)])), "named");
    assert_eq!(key_in_use(sss(&arguments, home.path(), &[])), "home");
    std::fs::remove_file(home.path().join(".xrd/sss.keytab")).expect("removed");
    assert_eq!(key_in_use(sss(&arguments, home.path(), &[])), "site");
    std::fs::remove_file(site).expect("removed");
    let error = sss(&arguments, home.path(), &[]).begin().expect_err("no keytab");
    assert!(error.reason.contains(".xrd/sss.keytab") && error.reason.contains("/site"), "{error}");
    assert!(error.hint.expect("a hint").contains("XrdSecSSSKT"));
}

#[test]
fn a_keytab_that_a_variable_names_must_be_there() {
    let home = tempfile::tempdir().expect("a directory");
    write_keytab(&home.path().join(".xrd/sss.keytab"), "home", 0o600);
    let error = sss("0.+13:", home.path(), &[("XrdSecSSSKT", "/nowhere/at/all")]).begin().expect_err("missing");
    assert!(error.reason.contains("/nowhere/at/all") && error.reason.contains("XrdSecSSSKT"), "{error}");
}

#[test]
fn a_keytab_open_to_others_is_refused_with_the_command_that_helps() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join(".xrd/sss.keytab");
    write_keytab(&path, "home", 0o640);
    let error = sss("0.+13:", home.path(), &[]).begin().expect_err("open to others");
    assert!(error.reason.contains("0640"), "{error}");
    assert_eq!(error.hint, Some(format!("chmod 600 {}", path.display())));
}

#[test]
fn the_group_may_read_a_keytab_that_is_named_so() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("keytab.grp");
    write_keytab(&path, "group", 0o640);
    let variable = path.display().to_string();
    assert_eq!(key_in_use(sss("0.+13:", home.path(), &[("XrdSecSSSKT", &variable)])), "group");
}
