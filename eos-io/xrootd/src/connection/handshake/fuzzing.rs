//! The login for its fuzz target: a server whose answers are there before anything is asked.

use std::io::Cursor;
use std::sync::LazyLock;

use tokio::io::{empty, join};

use super::*;

/// A login, step by step or not. Only methods are tried that need neither files nor other servers. Wants a runtime whose
/// clock is paused, because servers may ask to wait.
pub async fn login(data: &[u8]) {
    static SETTINGS: LazyLock<TlsSettings> = LazyLock::new(TlsSettings::default);
    let Some((choice, script)) = data.split_first() else { return };
    let target = Target {
        host: "h".to_owned(),
        port: 1094,
        shown: "h:1094".to_owned(),
        is_tls: choice & 2 != 0,
        is_trusted: choice & 4 != 0,
        user: "tester".to_owned(),
        opaque: "xrd.wantprot=host,unix,ztn".to_owned(),
        credentials: Credentials::default(),
        is_careful: choice & 1 != 0,
        limit: Duration::from_secs(10),
        wait_limit: Duration::from_secs(1800),
        silence: Duration::from_secs(30),
    };
    let (trace, counters) = (Trace::default(), Counters::default());
    let mut greeting = Greeting { target: &target, trace: &trace, counters: &counters };
    let stream = Stream::Scripted(join(Cursor::new(script.to_vec()), empty()));
    let reached = match target.is_careful {
        true => greeting.step_by_step(stream, &SETTINGS).await.map(Some),
        false => greeting.all_at_once(stream).await,
    };
    match reached {
        Ok(Some((stream, established))) => {
            // Whatever a server says, it does not get a login in the clear that has to be encrypted.
            assert!(!target.is_careful || !target.is_tls || stream.is_tls(), "a login in the clear");
            drop(start(stream, &target, Arc::default(), established));
        }
        Ok(None) => {}
        Err(error) => drop(error.to_string()),
    }
}
