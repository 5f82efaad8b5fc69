//! Tells which parts of a faith interface this host supports.

use faith_stack::{Obstacle, Support};
use napi_derive::napi;

/// The obstacle to each part; none if the host supports it.
#[napi(object)]
pub struct NativeSupport {
    /// The obstacle to TUN devices.
    pub tun: Option<NativeObstacle>,
    /// The obstacle to IPv6.
    pub ipv6: Option<NativeObstacle>,
    /// The obstacle to network namespaces.
    pub namespace: Option<NativeObstacle>,
    /// The obstacle to steering by `sk_lookup`.
    pub sk_lookup: Option<NativeObstacle>,
    /// The obstacle to the shortcut for established connections.
    pub shortcut: Option<NativeObstacle>,
}

/// The reason why this host does not support a part.
#[napi(object)]
pub struct NativeObstacle {
    /// The operation that failed, and the reason.
    pub message: String,
    /// The remedy.
    pub hint: String,
}

/// Tries each part of a faith interface.
///
/// # Errors
/// The environment is closing.
#[napi]
pub async fn probe_support() -> napi::Result<NativeSupport> {
    napi::bindgen_prelude::spawn_blocking(|| {
        let Support { tun, ipv6, namespace, sk_lookup, shortcut } = Support::probe();
        NativeSupport {
            tun: obstacle(tun),
            ipv6: obstacle(ipv6),
            namespace: obstacle(namespace),
            sk_lookup: obstacle(sk_lookup),
            shortcut: obstacle(shortcut),
        }
    })
    .await
    .map_err(|error| napi::Error::from_reason(error.to_string()))
}

fn obstacle(tried: Result<(), Obstacle>) -> Option<NativeObstacle> {
    tried.err().map(|Obstacle { message, hint }| NativeObstacle { message, hint })
}
