//! Numbers of the protocol.

/// What a request asks for.
pub(crate) mod request {
    pub(crate) const AUTH: u16 = 3000;
    pub(crate) const QUERY: u16 = 3001;
    pub(crate) const CLOSE: u16 = 3003;
    pub(crate) const DIRLIST: u16 = 3004;
    pub(crate) const PROTOCOL: u16 = 3006;
    pub(crate) const LOGIN: u16 = 3007;
    pub(crate) const MKDIR: u16 = 3008;
    pub(crate) const MV: u16 = 3009;
    pub(crate) const OPEN: u16 = 3010;
    pub(crate) const PING: u16 = 3011;
    pub(crate) const READ: u16 = 3013;
    pub(crate) const RM: u16 = 3014;
    pub(crate) const RMDIR: u16 = 3015;
    pub(crate) const SYNC: u16 = 3016;
    pub(crate) const STAT: u16 = 3017;
    pub(crate) const WRITE: u16 = 3019;
    pub(crate) const ENDSESS: u16 = 3023;
    pub(crate) const READV: u16 = 3025;
    pub(crate) const LOCATE: u16 = 3027;
    pub(crate) const TRUNCATE: u16 = 3028;
    pub(crate) const SIGVER: u16 = 3029;
    pub(crate) const PGREAD: u16 = 3030;
}

/// How an answer begins.
pub(crate) mod status {
    pub(crate) const OK: u16 = 0;
    pub(crate) const OK_SO_FAR: u16 = 4000;
    pub(crate) const ATTN: u16 = 4001;
    pub(crate) const AUTH_MORE: u16 = 4002;
    pub(crate) const ERROR: u16 = 4003;
    pub(crate) const REDIRECT: u16 = 4004;
    pub(crate) const WAIT: u16 = 4005;
    pub(crate) const WAIT_RESP: u16 = 4006;
    pub(crate) const STATUS: u16 = 4007;
}

/// What an unsolicited message says.
pub(crate) mod attention {
    pub(crate) const RESPONSE: u32 = 5008;
}

/// What a server can be and demand, in its answer about the protocol.
pub(crate) mod flags {
    pub(crate) const HAS_PAGE_READ: u32 = 0x20_0000;
    pub(crate) const TLS_DATA: u32 = 0x100_0000;
    pub(crate) const TLS_LOGIN: u32 = 0x400_0000;
    pub(crate) const TLS_SESSION: u32 = 0x800_0000;
    pub(crate) const GO_TO_TLS: u32 = 0x4000_0000;
    pub(crate) const HAS_TLS: u32 = 0x8000_0000;
}

/// What a client says of itself when it asks about the protocol.
pub(crate) mod able {
    pub(crate) const SECURITY_REQUIREMENTS: u8 = 1;
    pub(crate) const TLS: u8 = 2;
    pub(crate) const WANTS_TLS: u8 = 4;
}

/// Options of an open.
pub(crate) mod open {
    pub(crate) const DELETE: u16 = 0x2;
    pub(crate) const NEW: u16 = 0x8;
    pub(crate) const READ: u16 = 0x10;
    pub(crate) const UPDATE: u16 = 0x20;
    pub(crate) const REFRESH: u16 = 0x80;
    pub(crate) const MAKE_PATH: u16 = 0x100;
    pub(crate) const RETURN_STAT: u16 = 0x400;
    pub(crate) const PERSIST_ON_CLOSE: u16 = 0x1000;
}

/// Kinds of a query.
pub(crate) mod query {
    pub(crate) const CHECKSUM: u16 = 3;
    pub(crate) const CONFIG: u16 = 7;
}

/// What an error is about.
pub(crate) mod error {
    pub(crate) const ARG_TOO_LONG: u32 = 3002;
    pub(crate) const FILE_LOCKED: u32 = 3003;
    pub(crate) const FILE_NOT_OPEN: u32 = 3004;
    pub(crate) const FS_ERROR: u32 = 3005;
    pub(crate) const INVALID_REQUEST: u32 = 3006;
    pub(crate) const IO_ERROR: u32 = 3007;
    pub(crate) const NO_MEMORY: u32 = 3008;
    pub(crate) const NO_SPACE: u32 = 3009;
    pub(crate) const NOT_AUTHORIZED: u32 = 3010;
    pub(crate) const NOT_FOUND: u32 = 3011;
    pub(crate) const SERVER_ERROR: u32 = 3012;
    pub(crate) const UNSUPPORTED: u32 = 3013;
    pub(crate) const NO_SERVER: u32 = 3014;
    pub(crate) const NOT_FILE: u32 = 3015;
    pub(crate) const IS_DIRECTORY: u32 = 3016;
    pub(crate) const CANCELLED: u32 = 3017;
    pub(crate) const ITEM_EXISTS: u32 = 3018;
    pub(crate) const CHECKSUM: u32 = 3019;
    pub(crate) const IN_PROGRESS: u32 = 3020;
    pub(crate) const OVER_QUOTA: u32 = 3021;
    pub(crate) const OVERLOADED: u32 = 3024;
    pub(crate) const READ_ONLY: u32 = 3025;
    pub(crate) const NO_REPLICAS: u32 = 3029;
    pub(crate) const AUTH_FAILED: u32 = 3030;
    pub(crate) const TOO_MANY_ERRORS: u32 = 3033;
    pub(crate) const REQUEST_TIMED_OUT: u32 = 3034;
    pub(crate) const TIMER_EXPIRED: u32 = 3035;

    /// The specification's name of an error.
    pub(crate) fn name(code: u32) -> &'static str {
        match code {
            3000 => "invalid argument",
            3001 => "missing argument",
            ARG_TOO_LONG => "argument too long",
            FILE_LOCKED => "file locked",
            FILE_NOT_OPEN => "file not open",
            FS_ERROR => "file system error",
            INVALID_REQUEST => "invalid request",
            IO_ERROR => "I/O error",
            NO_MEMORY => "no memory",
            NO_SPACE => "no space left",
            NOT_AUTHORIZED => "not authorized",
            NOT_FOUND => "not found",
            SERVER_ERROR => "server error",
            UNSUPPORTED => "unsupported",
            NO_SERVER => "no server available",
            NOT_FILE => "not a file",
            IS_DIRECTORY => "is a directory",
            CANCELLED => "cancelled",
            ITEM_EXISTS => "exists already",
            CHECKSUM => "checksum error",
            IN_PROGRESS => "in progress",
            OVER_QUOTA => "over quota",
            3022 => "signature error",
            3023 => "decryption error",
            OVERLOADED => "overloaded",
            READ_ONLY => "read-only file system",
            3026 => "bad payload",
            3027 => "attribute not found",
            3028 => "TLS required",
            NO_REPLICAS => "no replicas",
            AUTH_FAILED => "authentication failed",
            3031 => "impossible",
            3032 => "conflict",
            TOO_MANY_ERRORS => "too many errors",
            REQUEST_TIMED_OUT => "request timed out",
            TIMER_EXPIRED => "timer expired",
            _ => "unknown error",
        }
    }
}
