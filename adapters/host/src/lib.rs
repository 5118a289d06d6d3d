//! What every adapter of idv on an operating system shares: the clocks, random bits for jitter, whom to trust over TLS, stores behind
//! one type, and threads for what blocks. An adapter's users meet it under the adapter's own name.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod clock;
mod entropy;
mod options;
mod pool;
mod store;
pub mod tls;

pub use clock::{Clock, SystemClock};
pub use entropy::Entropy;
pub use options::Options;
pub use pool::{NotTaken, Pool};
pub use store::{AnyStore, SharedMemory, StoreError};
pub use tls::BadCertificates;
