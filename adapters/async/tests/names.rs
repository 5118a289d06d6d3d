//! Moving from one adapter to another changes the import.
#![allow(missing_docs, unused_imports)]

/// Every name that an application may hold, from each adapter.
macro_rules! have_the_same_names {
    ($($adapter:ident)*) => {
        $(mod $adapter {
            use $adapter::{
                Account, AccountError, AccountRef, BadCertificates, Builder, CallbackEvent, CallbackOutcome,
                CallbackRequest, Client, Clock, Driver, DriverError, Entropy, Event, Failure, HAND_OVER,
                HandOverError, IntakeBounds, Options, Received, RestoreError, Revision, SharedMemory, StartError,
                Status, StoreError, SystemClock, Transport, Verification, WaitError, wait,
            };

            #[test]
            fn begins_alike() {
                let mut builder: Builder = Driver::builder();
                builder.calls_at_once(1).handlers_at_once(1).intake(IntakeBounds::default());
                let _: Client = Client::new().separate();
            }
        })*
    };
}

have_the_same_names! { idv_ureq idv_smol idv_async_std idv_tokio }
