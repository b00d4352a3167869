//! The XRootD protocol as bytes: frames of requests, headers and bodies of answers. Pure functions over slices, without
//! input or output, so that they can be tested and fuzzed alone. Facts are those of the protocol's specification,
//! version 5.1 (<https://xrootd.slac.stanford.edu/doc/dev56/XRdv520.htm>).
//!
//! Everything is big-endian. A request is 24 bytes, `stream[2] request[2] parameters[16] length[4]`, and a payload; an
//! answer is 8 bytes, `stream[2] status[2] length[4]`, and a body.

pub(crate) mod codes;
mod cursor;
mod listing;
mod login;
mod page;
mod request;
mod response;
mod stat;

pub(crate) use cursor::{Cursor, WireError};
pub(crate) use listing::{Listed, listing};
pub(crate) use login::{LoginAnswer, ProtocolAnswer, Security};
pub(crate) use page::{PAGE, PageStatus, first_page_length};
pub(crate) use request::{FileHandle, HANDSHAKE, Open, Request, Segment, login, protocol};
pub(crate) use response::{Header, Redirect, Response, ServerError, Target, opened};
pub(crate) use stat::Stat;
