//! `cluster logs`.

use futures::{StreamExt, pin_mut, stream};
use root_kubernetes::{JobLog, LogOptions};

use super::Place;
use crate::app::App;
use crate::args::LogsArgs;
use crate::console::printable;
use crate::exit::Exit;
use crate::output::Destination;
use crate::run::Outcome;

/// A line that is longer is shown before it ends.
const LONGEST: usize = 64 << 10;

/// Shows a log as it comes.
pub async fn logs(app: &App, args: &LogsArgs) -> Outcome {
    let Place { kubernetes, namespace } = Place::find(app, &args.place).await?;
    let options = LogOptions { follow: args.follow, previous: args.previous, lines: args.tail };
    let log = match &args.job {
        Some(job) => match kubernetes.job_log(&args.name, &namespace, job, options).await? {
            JobLog::Pod(log) => log,
            JobLog::Kept { text, is_cut } => {
                let part = if is_cut { "the end of its log" } else { "its log" };
                app.console.note(&format!("no pod of the job {job} is left; this is what was kept of {part}"));
                stream::iter([Ok(text.into_bytes())]).boxed()
            }
        },
        None => kubernetes.logs(&args.name, &namespace, args.pod.as_deref(), options).await?.boxed(),
    };
    let target = app.target()?;
    let is_terminal = target.is_terminal();
    let mut to = Destination::open(target, &app.shutdown)?;
    pin_mut!(log);
    // Characters of several bytes may come in two pieces, which are never of two lines.
    let mut rest = Vec::new();
    while let Some(chunk) = log.next().await {
        let chunk = chunk?;
        if is_terminal {
            rest.extend(chunk);
            let whole = match rest.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => end + 1,
                None if rest.len() > LONGEST => rest.len(),
                None => 0,
            };
            let lines: Vec<u8> = rest.drain(..whole).collect();
            // What a program writes must not command the terminal.
            to.put(printable(&String::from_utf8_lossy(&lines)).as_bytes())?;
        } else {
            to.put(&chunk)?;
        }
        to.pass_on()?;
    }
    to.put(printable(&String::from_utf8_lossy(&rest)).as_bytes())?;
    to.commit()?;
    Ok(Exit::Ok)
}
