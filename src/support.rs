//! What this host lets a faith interface do.

use faith_stack::{Obstacle, Support};
use napi_derive::napi;

/// What stands in the way of each; nothing where it can be done.
#[napi(object)]
pub struct NativeSupport {
    /// Of TUN devices.
    pub tun: Option<NativeObstacle>,
    /// Of IPv6.
    pub ipv6: Option<NativeObstacle>,
    /// Of network namespaces.
    pub namespace: Option<NativeObstacle>,
    /// Of steering by `sk_lookup`.
    pub sk_lookup: Option<NativeObstacle>,
    /// Of a shortcut for established TCP.
    pub shortcut: Option<NativeObstacle>,
}

/// Why something cannot be done.
#[napi(object)]
pub struct NativeObstacle {
    /// What failed, and why.
    pub message: String,
    /// The remedy.
    pub hint: String,
}

/// Tries what a faith interface is made of.
///
/// # Errors
/// When the environment is closing.
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
