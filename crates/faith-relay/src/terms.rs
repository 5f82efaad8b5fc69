//! A verdict's own settings for one connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use faith_packet::proxy::Version;

/// How one connection is treated, where that differs from the relay's own settings. Each `None` is the relay's own choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The address that the connection to the server comes from, of the server's family.
    pub source: Option<IpAddr>,
    /// The version of the PROXY protocol in which the server is told of the client.
    pub proxy: Option<Version>,
    /// How long the session may pass no byte; zero is for ever.
    pub idle_timeout: Option<Duration>,
    /// How many bytes the session may pass, both directions together. A session that has passed more ends as
    /// [`SessionEnd::MaxBytes`](crate::SessionEnd::MaxBytes).
    pub max_bytes: Option<u64>,
    /// A mark that the record of the session, or of the attempt, carries.
    pub tag: Option<Arc<str>>,
}
