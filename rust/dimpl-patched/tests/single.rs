//! The original's own tests, on the edited source.
#![allow(warnings, clippy::all)]

extern crate self as env_logger; // nothing is logged

pub fn try_init() -> Result<(), ()> {
    Ok(())
}

mod auto_client_retry {
    include!(concat!(env!("DIMPL_EDITED"), "/tests/auto_client_retry.rs"));
}
mod client_hello_recovery {
    include!(concat!(env!("DIMPL_EDITED"), "/tests/client_hello_recovery.rs"));
}
mod pre_encryption {
    include!(concat!(env!("DIMPL_EDITED"), "/tests/pre_encryption.rs"));
}
mod premature_records {
    include!(concat!(env!("DIMPL_EDITED"), "/tests/premature_records.rs"));
}
mod timing {
    include!(concat!(env!("DIMPL_EDITED"), "/tests/timing.rs"));
}
