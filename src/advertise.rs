//! Advertises the prefixes to the hosts of links.

use std::net::Ipv6Addr;
use std::time::Duration;

use faith_packet::prefix::FaithPrefix;
use faith_stack::{Advertiser, AdvertiserEvent, Advertising, LinkState, LinkStatus};
use napi::bindgen_prelude::Function;
use napi_derive::napi;

use crate::batch::Batch;
use crate::failure::{NativeFailure, Outcome, outcome};
use crate::stats::number;

/// Changes of links that may wait for the event loop. The thread drops further ones.
const WAITING: usize = 1024;

/// The links, prefixes and times of advertisements.
#[napi(object)]
pub struct NativeAdvertising {
    /// The names of the interfaces.
    pub links: Vec<String>,
    /// The prefixes.
    pub prefixes: Vec<String>,
    /// The lifetime of a prefix in seconds.
    pub lifetime: u16,
    /// The longest time between two advertisements, in seconds.
    pub most: u32,
}

/// A link and what was sent on it.
#[napi(object)]
pub struct NativeAdvertisedLink {
    /// The name of the interface.
    pub name: String,
    /// `absent`, `advertising`, `failing` or `conflict`.
    pub state: String,
    /// The kernel's reason, while it refuses to send.
    pub reason: Option<String>,
    /// The address that advertisements come from, while the interface is there.
    pub source: Option<String>,
    /// Advertisements sent.
    pub sent: f64,
    /// Advertisements that the kernel refused.
    pub failed: f64,
    /// Solicitations heard.
    pub solicitations: f64,
}

impl From<LinkStatus> for NativeAdvertisedLink {
    fn from(link: LinkStatus) -> Self {
        let (state, reason) = match link.state {
            LinkState::Absent => ("absent", None),
            LinkState::Advertising => ("advertising", None),
            LinkState::Failing(reason) => ("failing", Some(reason)),
            LinkState::Conflict => ("conflict", None),
        };
        Self {
            name: link.name,
            state: state.to_owned(),
            reason,
            source: link.source.as_ref().map(Ipv6Addr::to_string),
            sent: number(link.sent),
            failed: number(link.failed),
            solicitations: number(link.solicitations),
        }
    }
}

/// The sender of advertisements.
#[napi]
pub struct NativeAdvertiser {
    advertiser: Advertiser,
}

#[napi]
impl NativeAdvertiser {
    /// Changes what is advertised. Links and prefixes that are missing now are withdrawn.
    ///
    /// # Errors
    /// A prefix is malformed.
    #[napi]
    pub fn set(&self, settings: NativeAdvertising) -> napi::Result<()> {
        let prefixes: Result<Vec<FaithPrefix>, _> =
            settings.prefixes.iter().map(|prefix| prefix.parse()).collect();
        self.advertiser.set(Advertising {
            links: settings.links,
            prefixes: prefixes.map_err(|error| napi::Error::from_reason(error.to_string()))?,
            lifetime: settings.lifetime,
            most: Duration::from_secs(settings.most.into()),
        });
        Ok(())
    }

    /// Gives the links as they are now.
    #[napi]
    #[must_use]
    pub fn links(&self) -> Vec<NativeAdvertisedLink> {
        self.advertiser.links().into_iter().map(Into::into).collect()
    }

    /// Withdraws all prefixes, and ends the thread.
    #[napi]
    pub fn close(&self) {
        self.advertiser.close();
    }
}

/// Opens the socket and starts the thread. `changed` gets the links whose state has changed.
///
/// # Errors
/// The callback cannot be made.
#[napi(ts_return_type = "NativeFailure | NativeAdvertiser")]
pub fn open_advertiser(
    #[napi(ts_arg_type = "(links: NativeAdvertisedLink[]) => void")] changed: Function<
        '_,
        Vec<NativeAdvertisedLink>,
        (),
    >,
) -> napi::Result<Outcome<NativeAdvertiser>> {
    let batch = Batch::new(&changed, |links: Vec<LinkStatus>| links.into_iter().map(Into::into).collect())?;
    let tell = move |AdvertiserEvent { link }| {
        batch.push_within(WAITING, link);
    };
    let opened = Advertiser::open(tell).map_err(NativeFailure::from);
    Ok(outcome(opened.map(|advertiser| NativeAdvertiser { advertiser })))
}
