//! The checks that come with the program.

mod api;
mod certificate;
mod clock;
mod disk;
mod event_loop;
mod probe;
mod system;

pub use api::ApiConnectivityCheck;
pub use certificate::CertificateCheck;
pub use clock::ClockCheck;
pub use disk::DiskSpaceCheck;
pub use event_loop::EventLoopCheck;
pub use probe::Probe;
pub use system::SystemResourceCheck;
