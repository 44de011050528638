//! Every HTTP surface of the agent: the Messages API gateway under `/v1`, the agent API and the operations endpoints.
//!
//! A request goes through one pipeline before any handler sees it: [`server`] accepts the connection and holds its
//! limits, [`pipeline`] judges the request (who asks, from where, how often, how large), [`routes`] is the one table of
//! what there is. Handlers get a [`pipeline::Context`] and a bounded body, and give an [`answer`] or a refusal; what a
//! refusal looks like on the wire is decided in one place.
//!
//! No rule of the product lives here: what a turn does is `agent-core`'s, what a key or a limit is `agent-security`'s.

mod answer;
mod api;
mod input;
mod openapi;
mod operations;
mod page;
mod parts;
mod pipeline;
mod relay;
mod reload;
mod routes;
mod server;
#[cfg(test)]
mod testing;

pub use operations::LogBuffer;
pub use page::PageLogins;
pub use parts::ConfigurationView;
pub use parts::GatewayLimits;
pub use parts::GatewayParts;
pub use parts::GatewaySettings;
pub use parts::Sharing;
pub use parts::TlsFiles;
pub use parts::Upstream;
pub use parts::UpstreamTimeouts;
pub use relay::InvalidUpstream;
pub use reload::GatewayControl;
pub use reload::LiveSettings;
pub use reload::Problems as ReloadProblems;
pub use reload::ReloadReport;
pub use reload::ReloadRequest;
pub use server::Addresses;
pub use server::BindError;
pub use server::DrainReport;
pub use server::Gateway;
pub use server::TlsError;
