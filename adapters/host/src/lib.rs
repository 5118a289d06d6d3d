//! What every adapter of idv on an operating system shares: the clocks, random bits for jitter, whom to trust over TLS, the words for a
//! call that failed, stores behind one type, threads for what blocks, where callbacks come in, a driver's bounds and errors, and what an
//! asynchronous runtime has to give. An adapter's users meet it under the adapter's own name.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod clock;
mod driving;
mod entropy;
mod events;
mod intake;
mod options;
mod peer;
mod pool;
mod recording;
mod runtime;
#[cfg(feature = "smol")]
mod smol_runtime;
pub mod spans;
mod store;
pub mod tls;
mod waiting;

pub use clock::{Clock, SystemClock};
pub use driving::{
    AccountRef, DRAIN, DriverError, HandOverError, INBOX, STORING, StartError, Verification, WORK,
    until_granted, until_wake, word_given,
};
pub use entropy::Entropy;
pub use events::{Events, Observer, Observers};
pub use intake::{Answered, CallbackRequest, Delivered, Inbox, Incoming, Intake, IntakeBounds};
pub use options::{MOST_KEPT, MOST_KEPT_TO_ONE, Options};
pub use peer::{Peer, Phase};
pub use pool::Pool;
pub use recording::record_to;
pub use runtime::Runtime;
#[cfg(feature = "smol")]
pub use smol_runtime::Smol;
pub use store::{AnyStore, SharedMemory, StoreError};
pub use tls::BadCertificates;
pub use waiting::{Told, WaitError};
