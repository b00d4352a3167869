//! A result on its way to a server. The writers of formats know nothing of waiting, so a thread of its own, with
//! connections of its own, takes their bytes and sends them: it works while a query keeps all others busy, and also when
//! there is no other left, as for the report at the end.

use std::io::{self, Write};
use std::sync::mpsc::{self as answers, RecvTimeoutError};
use std::time::Duration;

use bytes::Bytes;
use eos_io::{Error, Location, Upload};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};

use crate::exit::{Exit, Failure};
use crate::shutdown::{Shutdown, Uploading};

/// Pieces that wait to be taken up into a part.
const QUEUE: usize = 8;
/// How long the end waits for a server to take back what it has.
const LAST_CHANCE: Duration = Duration::from_secs(5);

enum Message {
    Bytes(Bytes),
    Complete,
}

/// A file at a server that appears with [`RemoteFile::commit`]; one that is dropped leaves nothing, where the protocol has
/// a way to do so.
pub struct RemoteFile {
    messages: mpsc::Sender<Message>,
    answers: answers::Receiver<Result<(), Error>>,
    name: String,
    is_over: bool,
}

impl RemoteFile {
    /// Begins to write. A server that refuses has said so when this returns.
    pub fn open(location: Location, shutdown: &Shutdown) -> Result<Self, Failure> {
        let name = location.display.clone();
        let (messages, inbox) = mpsc::channel(QUEUE);
        let (answer, answers) = answers::channel();
        let uploading = shutdown.uploading();
        let no_thread = |e: io::Error| Failure::new(Exit::Query, format!("cannot start a thread: {e}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_thread)?;
        let work = move || runtime.block_on(send_all(&location, inbox, &answer, uploading));
        std::thread::Builder::new().name("upload".into()).spawn(work).map_err(no_thread)?;
        let mut file = Self { messages, answers, name, is_over: false };
        file.answer()?;
        Ok(file)
    }

    /// The file is complete: waits until the server has it under its name.
    pub fn commit(mut self) -> Result<(), Failure> {
        // Where the thread has failed it takes no more, and its answer is why.
        let _ = self.tell(Message::Complete);
        Ok(self.answer()?)
    }

    fn tell(&mut self, message: Message) -> Result<(), mpsc::SendError> {
        futures::executor::block_on(self.messages.send(message))
    }

    /// What the thread says next: that it has begun, that the file is complete, or what went wrong.
    fn answer(&mut self) -> Result<(), Error> {
        let interrupted = || Error::Write { spec: self.name.clone(), message: "interrupted".into() };
        let answer = self.answers.recv().unwrap_or_else(|_| Err(interrupted()));
        self.is_over = answer.is_err();
        answer
    }
}

impl Write for RemoteFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.tell(Message::Bytes(Bytes::copy_from_slice(bytes))) {
            Ok(()) => Ok(bytes.len()),
            // The thread takes no more when it has failed.
            Err(_) => self.answer().map_err(io::Error::other).map(|()| 0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for RemoteFile {
    fn drop(&mut self) {
        self.messages.close_channel();
        while !self.is_over {
            // The thread hangs up when it is done, be it with taking back.
            match self.answers.recv_timeout(LAST_CHANCE) {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => self.is_over = true,
            }
        }
    }
}

/// What the thread does: begins, sends what comes, and ends with a complete file or none.
async fn send_all(
    location: &Location,
    mut inbox: mpsc::Receiver<Message>,
    answer: &answers::Sender<Result<(), Error>>,
    mut uploading: Uploading,
) {
    let started = tokio::select! {
        started = Upload::start(location, None) => started,
        () = uploading.interrupted() => return,
    };
    let mut upload = match started {
        Ok(upload) => upload,
        Err(error) => return drop(answer.send(Err(error))),
    };
    let _ = answer.send(Ok(()));
    let sent = tokio::select! {
        sent = pass_on(&mut upload, &mut inbox) => Some(sent),
        () = uploading.interrupted() => None,
    };
    match sent {
        Some(Ok(true)) => drop(answer.send(Ok(()))),
        Some(Err(error)) => {
            upload.abort().await;
            drop(answer.send(Err(error)));
        }
        Some(Ok(false)) | None => upload.abort().await,
    }
}

/// Whether the file was completed; it was not if the sender went away before.
async fn pass_on(upload: &mut Upload, inbox: &mut mpsc::Receiver<Message>) -> Result<bool, Error> {
    while let Some(message) = inbox.next().await {
        match message {
            Message::Bytes(bytes) => upload.write(bytes).await?,
            Message::Complete => return upload.finish().await.map(|()| true),
        }
    }
    Ok(false)
}
