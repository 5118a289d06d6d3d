//! Where callbacks come in: the intake, and the servers before it.

use crate::run::Message;
use async_channel::{Receiver, Sender};
use idv_host::{Delivered, Inbox, Intake};
use std::convert::Infallible;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shared by a driver's handles and its task.
pub(crate) struct Receiving {
    pub(crate) intake: Intake,
    servers: Mutex<Option<Servers>>,
}

/// The servers are told to end, and tell that they have, by closing channels on which nothing is sent.
struct Servers {
    stop: Sender<Infallible>,
    stopped: Receiver<Infallible>,
    serving: Sender<Infallible>,
    ended: Receiver<Infallible>,
}

impl Receiving {
    pub(crate) fn new(intake: Intake) -> Self {
        let ((stop, stopped), (serving, ended)) = (async_channel::bounded(1), async_channel::bounded(1));
        Self { intake, servers: Mutex::new(Some(Servers { stop, stopped, serving, ended })) }
    }

    /// What a server ends by, and what it holds until it has ended. `None` once they were told to end.
    pub(crate) fn begin(&self) -> Option<(Receiver<Infallible>, Sender<Infallible>)> {
        self.servers().as_ref().map(|servers| (servers.stopped.clone(), servers.serving.clone()))
    }

    /// Has the servers answer what they have begun and end, then the intake record it; about `drain` for the latter.
    pub(crate) async fn end(&self, drain: Duration) -> io::Result<()> {
        if let Some(ended) = self.stop() {
            let _ = ended.recv().await;
        }
        let (done, all) = async_channel::bounded::<Infallible>(1);
        let intake = self.intake.clone();
        // Waiting for the store blocks.
        std::thread::Builder::new().name("idv-closing".to_owned()).spawn(move || {
            intake.close(drain);
            drop(done);
        })?;
        let _ = all.recv().await;
        Ok(())
    }

    /// Tells the servers to end; what is returned is closed when they have.
    fn stop(&self) -> Option<Receiver<Infallible>> {
        let Servers { stop, ended, .. } = self.servers().take()?;
        drop(stop);
        Some(ended)
    }

    /// Ends at once: what is being recorded is finished by the intake's threads.
    pub(crate) fn break_off(&self) {
        self.stop();
        self.intake.close(Duration::ZERO);
    }

    fn servers(&self) -> MutexGuard<'_, Option<Servers>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task's inbox, for the intake.
pub(crate) struct Outbox(pub(crate) Sender<Message>);

impl Inbox for Outbox {
    fn send(&self, delivered: Delivered) {
        let _ = self.0.send_blocking(Message::Callback(delivered));
    }

    fn try_send(&self, delivered: Delivered) -> bool {
        self.0.try_send(Message::Callback(delivered)).is_ok()
    }
}
