//! The file system of Hadoop, with and without Kerberos.

use std::time::Duration;

use eos_testbed::{Hdfs, Kdc, Tool, random_bytes};

#[test]
fn it_serves_files_over_its_rest_interface() {
    let hdfs = Hdfs::start();
    let content = random_bytes(1, 2_500_000);

    hdfs.write("/dir/some.bin", content.clone());

    let got = Tool::new("curl").args("-sfL").arg(hdfs.web_url("/dir/some.bin") + "?op=OPEN").check();
    assert!(got.output == content);

    hdfs.stop_data_node(0);
    assert!(hdfs.read("/dir/some.bin") == content);

    hdfs.remove("/dir/some.bin");
    assert!(!Tool::new("curl").args("-sfL").arg(hdfs.web_url("/dir/some.bin") + "?op=GETFILESTATUS").run().ok);
}

#[test]
fn with_kerberos_it_asks_for_tickets() {
    let kdc = Kdc::start();
    let hdfs = Hdfs::start_kerberized(&kdc);
    let content = random_bytes(1, 2_500_000);

    hdfs.write("/some.bin", content.clone());

    assert!(hdfs.read("/some.bin") == content);
    let cat = || hdfs.shell("-cat /some.bin");
    let none = [("KRB5CCNAME".to_owned(), "FILE:/nonexistent".to_owned())];
    assert!(!cat().envs(&none).run().ok);
    let tickets = kdc.kinit(Duration::from_secs(3_600));
    assert!(cat().envs(&tickets.env()).check().output == content);
}
