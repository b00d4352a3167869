//! The generic security service (RFC 2744) of the machine's Kerberos library, loaded when first needed. All that is
//! `unsafe` about Kerberos is here.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use libloading::Library;

/// The names of the library: MIT's on Linux, then Heimdal's; Apple's framework, then MIT's from a package.
const LIBRARIES: &[&str] = if cfg!(target_os = "macos") {
    &["/System/Library/Frameworks/GSS.framework/GSS", "libgssapi_krb5.2.dylib", "libgssapi_krb5.dylib"]
} else {
    &["libgssapi_krb5.so.2", "libgssapi_krb5.so", "libgssapi.so.3"]
};

/// What went wrong.
#[derive(Debug)]
pub(super) enum GssError {
    /// None of these libraries can be loaded.
    NoLibrary { tried: String },
    /// The library has no `gss_acquire_cred_from`.
    CannotChooseCache,
    /// The library's token is not what it should be.
    Malformed(&'static str),
    /// The library says no, in these words.
    Failed { failure: Failure, text: String },
}

/// The failures that have different cures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    NoTicket,
    Expired,
    UnknownServer,
    UnknownRealm,
    Unreachable,
    ClockSkew,
    Other,
}

/// The token that opens a conversation with a service, made from the tickets in this cache, or in the default one.
pub(super) fn initial_token(service: &str, cache: Option<&str>) -> Result<Vec<u8>, GssError> {
    let gss = Gss::loaded()?;
    let name = gss.import(service)?;
    let credential = cache.map(|cache| gss.acquire(cache)).transpose()?;
    gss.begin(&name, credential.as_ref())
}

/// Kerberos 5 (RFC 1964).
const MECHANISM: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
/// A name in the form `service/host@REALM`.
const PRINCIPAL_NAME: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01";

const ROUTINE_ERRORS: u32 = 0x00ff_0000;
const CALLING_OR_ROUTINE_ERRORS: u32 = 0xffff_0000;
const NO_CREDENTIAL: u32 = 7 << 16;
const CREDENTIALS_EXPIRED: u32 = 11 << 16;
const INITIATE: c_int = 1;
const STATUS_OF_GSS: c_int = 1;
const STATUS_OF_MECHANISM: c_int = 2;

// The structures of RFC 2744. Apple packs them on Intel as its compiler did on 68000.
#[repr(C)]
#[cfg_attr(all(target_os = "macos", target_arch = "x86_64"), repr(packed(2)))]
struct Oid {
    length: u32,
    elements: *const c_void,
}

#[repr(C)]
#[cfg_attr(all(target_os = "macos", target_arch = "x86_64"), repr(packed(2)))]
struct OidSet {
    count: usize,
    elements: *const Oid,
}

#[repr(C)]
#[cfg_attr(all(target_os = "macos", target_arch = "x86_64"), repr(packed(2)))]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

#[repr(C)]
struct KeyValue {
    key: *const c_char,
    value: *const c_char,
}

#[repr(C)]
struct KeyValues {
    count: u32,
    elements: *const KeyValue,
}

type ImportName = unsafe extern "C" fn(*mut u32, *const Buffer, *const Oid, *mut *mut c_void) -> u32;
type ReleaseName = unsafe extern "C" fn(*mut u32, *mut *mut c_void) -> u32;
type ReleaseBuffer = unsafe extern "C" fn(*mut u32, *mut Buffer) -> u32;
type ReleaseCredential = unsafe extern "C" fn(*mut u32, *mut *mut c_void) -> u32;
type DeleteContext = unsafe extern "C" fn(*mut u32, *mut *mut c_void, *mut Buffer) -> u32;
type DisplayStatus = unsafe extern "C" fn(*mut u32, u32, c_int, *const Oid, *mut u32, *mut Buffer) -> u32;
type AcquireCredentialFrom = unsafe extern "C" fn(
    *mut u32,
    *mut c_void,
    u32,
    *const OidSet,
    c_int,
    *const KeyValues,
    *mut *mut c_void,
    *mut *mut OidSet,
    *mut u32,
) -> u32;
type InitContext = unsafe extern "C" fn(
    *mut u32,
    *mut c_void,
    *mut *mut c_void,
    *mut c_void,
    *const Oid,
    u32,
    u32,
    *const c_void,
    *const Buffer,
    *mut *const Oid,
    *mut Buffer,
    *mut u32,
    *mut u32,
) -> u32;

/// The functions of the library. They may be called by several threads at once.
struct Gss {
    import_name: ImportName,
    release_name: ReleaseName,
    release_buffer: ReleaseBuffer,
    release_credential: ReleaseCredential,
    delete_context: DeleteContext,
    display_status: DisplayStatus,
    init_context: InitContext,
    /// An extension that not all libraries have.
    acquire_credential_from: Option<AcquireCredentialFrom>,
    /// Keeps the functions in memory.
    _library: Library,
}

impl Gss {
    /// Loads the library once and for ever: it has state of its own, and may not be unloaded. Looks for it again if it
    /// was not there.
    fn loaded() -> Result<&'static Gss, GssError> {
        static LOADED: OnceLock<Gss> = OnceLock::new();
        if let Some(gss) = LOADED.get() {
            return Ok(gss);
        }
        let gss = LIBRARIES.iter().find_map(|name| Gss::load(name).ok());
        let gss = gss.ok_or_else(|| GssError::NoLibrary { tried: LIBRARIES.join(", ") })?;
        Ok(LOADED.get_or_init(|| gss))
    }

    fn load(name: &str) -> Result<Gss, libloading::Error> {
        // SAFETY: a security library of the system, whose initialisers do no more than set up its own state.
        let library = unsafe { Library::new(name) }?;
        // SAFETY: the types are those of RFC 2744, and of MIT's documentation for the extension, for these symbols.
        // The pointers are used only while `library`, which is kept beside them, is loaded.
        unsafe {
            Ok(Gss {
                import_name: *library.get::<ImportName>(b"gss_import_name\0")?,
                release_name: *library.get::<ReleaseName>(b"gss_release_name\0")?,
                release_buffer: *library.get::<ReleaseBuffer>(b"gss_release_buffer\0")?,
                release_credential: *library.get::<ReleaseCredential>(b"gss_release_cred\0")?,
                delete_context: *library.get::<DeleteContext>(b"gss_delete_sec_context\0")?,
                display_status: *library.get::<DisplayStatus>(b"gss_display_status\0")?,
                init_context: *library.get::<InitContext>(b"gss_init_sec_context\0")?,
                acquire_credential_from: library
                    .get::<AcquireCredentialFrom>(b"gss_acquire_cred_from\0")
                    .ok()
                    .map(|function| *function),
                _library: library,
            })
        }
    }

    fn import(&self, principal: &str) -> Result<Name<'_>, GssError> {
        let text = Buffer { length: principal.len(), value: principal.as_ptr().cast_mut().cast() };
        let kind = oid(PRINCIPAL_NAME);
        let mut name = Name { gss: self, handle: null_mut() };
        let mut minor = 0;
        // SAFETY: all pointers are to locals that outlive the call; the library reads `text` and does not write to it.
        let major = unsafe { (self.import_name)(&mut minor, &text, &kind, &mut name.handle) };
        self.check(major, minor)?;
        Ok(name)
    }

    /// The tickets in one cache, without a change to what other threads use.
    fn acquire(&self, cache: &str) -> Result<Credential<'_>, GssError> {
        let acquire = self.acquire_credential_from.ok_or(GssError::CannotChooseCache)?;
        let cache = CString::new(cache).map_err(|_| GssError::CannotChooseCache)?;
        let place = KeyValue { key: c"ccache".as_ptr(), value: cache.as_ptr() };
        let places = KeyValues { count: 1, elements: &place };
        let mechanism = oid(MECHANISM);
        let mechanisms = OidSet { count: 1, elements: &mechanism };
        let mut credential = Credential { gss: self, handle: null_mut() };
        let mut minor = 0;
        // SAFETY: all pointers are to locals that outlive the call, and the library copies what it keeps. A null name
        // stands for whoever the cache belongs to; the two results that we do not want may be null.
        let major = unsafe {
            acquire(
                &mut minor,
                null_mut(),
                0,
                &mechanisms,
                INITIATE,
                &places,
                &mut credential.handle,
                null_mut(),
                null_mut(),
            )
        };
        self.check(major, minor)?;
        Ok(credential)
    }

    /// The first token for a service. No flags: the server proves nothing to us, and sends nothing back.
    fn begin(&self, service: &Name<'_>, credential: Option<&Credential<'_>>) -> Result<Vec<u8>, GssError> {
        let mechanism = oid(MECHANISM);
        let mut context = Context { gss: self, handle: null_mut() };
        let mut token = Token { gss: self, buffer: Buffer { length: 0, value: null_mut() } };
        let mut minor = 0;
        // SAFETY: the handles are live, since their owners are borrowed; a null credential stands for the default one,
        // null bindings and input for none, and null results for unwanted ones. The other pointers are to locals.
        let major = unsafe {
            (self.init_context)(
                &mut minor,
                credential.map_or(null_mut(), |credential| credential.handle),
                &mut context.handle,
                service.handle,
                &mechanism,
                0,
                0,
                null(),
                null(),
                null_mut(),
                &mut token.buffer,
                null_mut(),
                null_mut(),
            )
        };
        self.check(major, minor)?;
        Ok(token.bytes().to_vec())
    }

    fn check(&self, major: u32, minor: u32) -> Result<(), GssError> {
        if major & CALLING_OR_ROUTINE_ERRORS == 0 {
            return Ok(());
        }
        let mechanism = self.display(minor, STATUS_OF_MECHANISM);
        let text = if minor == 0 || mechanism.is_empty() { self.display(major, STATUS_OF_GSS) } else { mechanism };
        Err(GssError::Failed { failure: Failure::of(major, minor), text })
    }

    /// The library's words for a status.
    fn display(&self, status: u32, kind: c_int) -> String {
        let mechanism = oid(MECHANISM);
        let mut text = Token { gss: self, buffer: Buffer { length: 0, value: null_mut() } };
        let (mut minor, mut next) = (0, 0);
        // SAFETY: all pointers are to locals that outlive the call. Messages of more than one part are cut after the
        // first, which says what matters.
        unsafe { (self.display_status)(&mut minor, status, kind, &mechanism, &mut next, &mut text.buffer) };
        String::from_utf8_lossy(text.bytes()).into_owned()
    }
}

impl Failure {
    /// Kerberos has a number for each failure, the same in all libraries; the numbers of the generic interface are
    /// coarser.
    fn of(major: u32, minor: u32) -> Self {
        const KERBEROS: i32 = -1_765_328_384;
        let code = i32::from_ne_bytes(minor.to_ne_bytes()).wrapping_sub(KERBEROS);
        match code {
            // KDC_ERR_NAME_EXP, KDC_ERR_NEVER_VALID, AP_ERR_TKT_EXPIRED
            1 | 11 | 32 => Failure::Expired,
            // KDC_ERR_S_PRINCIPAL_UNKNOWN
            7 => Failure::UnknownServer,
            // AP_ERR_SKEW
            37 => Failure::ClockSkew,
            // REALM_UNKNOWN, REALM_CANT_RESOLVE
            154 | 155 => Failure::UnknownRealm,
            // KDC_UNREACH
            156 => Failure::Unreachable,
            // CC_BADNAME, CC_NOTFOUND, CC_END, FCC_PERM, FCC_NOFILE, FCC_INTERNAL, CC_FORMAT
            139 | 141 | 142 | 190 | 195 => Failure::NoTicket,
            _ => match major & ROUTINE_ERRORS {
                NO_CREDENTIAL => Failure::NoTicket,
                CREDENTIALS_EXPIRED => Failure::Expired,
                _ => Failure::Other,
            },
        }
    }
}

/// An object identifier whose bytes live for ever.
fn oid(bytes: &'static [u8]) -> Oid {
    // The identifiers above have nine and ten bytes.
    Oid { length: bytes.len() as u32, elements: bytes.as_ptr().cast() }
}

/// A name that belongs to the library.
struct Name<'a> {
    gss: &'a Gss,
    handle: *mut c_void,
}

impl Drop for Name<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is null, which the library allows, or came from it and is released once.
        unsafe { (self.gss.release_name)(&mut 0, &mut self.handle) };
    }
}

/// A credential that belongs to the library.
struct Credential<'a> {
    gss: &'a Gss,
    handle: *mut c_void,
}

impl Drop for Credential<'_> {
    fn drop(&mut self) {
        // SAFETY: as for names.
        unsafe { (self.gss.release_credential)(&mut 0, &mut self.handle) };
    }
}

/// A conversation that belongs to the library.
struct Context<'a> {
    gss: &'a Gss,
    handle: *mut c_void,
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: the handle came from the library and is released once; no farewell token is wanted.
            unsafe { (self.gss.delete_context)(&mut 0, &mut self.handle, null_mut()) };
        }
    }
}

/// Bytes that belong to the library.
struct Token<'a> {
    gss: &'a Gss,
    buffer: Buffer,
}

impl Token<'_> {
    fn bytes(&self) -> &[u8] {
        let (length, value) = (self.buffer.length, self.buffer.value);
        if value.is_null() || length == 0 {
            return &[];
        }
        // SAFETY: the library filled in the buffer: `value` points to `length` bytes, which stay until we release them.
        unsafe { std::slice::from_raw_parts(value.cast(), length) }
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        // SAFETY: the buffer is empty, which the library allows, or was filled by it and is released once.
        unsafe { (self.gss.release_buffer)(&mut 0, &mut self.buffer) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_kerberos_tell_failures_apart() {
        // As krb5.h has them.
        let of = |code: i32| Failure::of(0x000d_0000, u32::from_ne_bytes(code.to_ne_bytes()));
        assert_eq!(of(-1_765_328_189), Failure::NoTicket);
        assert_eq!(of(-1_765_328_243), Failure::NoTicket);
        assert_eq!(of(-1_765_328_352), Failure::Expired);
        assert_eq!(of(-1_765_328_377), Failure::UnknownServer);
        assert_eq!(of(-1_765_328_230), Failure::UnknownRealm);
        assert_eq!(of(-1_765_328_228), Failure::Unreachable);
        assert_eq!(of(-1_765_328_347), Failure::ClockSkew);
        assert_eq!(of(22), Failure::Other);
    }

    #[test]
    fn without_a_number_of_kerberos_the_generic_one_decides() {
        assert_eq!(Failure::of(NO_CREDENTIAL, 0), Failure::NoTicket);
        assert_eq!(Failure::of(CREDENTIALS_EXPIRED, 0), Failure::Expired);
        assert_eq!(Failure::of(0x000d_0000, 0), Failure::Other);
    }
}
