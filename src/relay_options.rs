//! Parses a relay's options.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use faith_packet::access::{self, AccessList, AccessListErrors};
use faith_packet::excerpt::excerpt;
use faith_packet::mapping::Mappings;
use faith_packet::proxy::Version;
use faith_packet::rfc6052::Mapping;
use faith_relay::{
    ClientLimits, Filtering, Local, LocalService, Oversize, PortBlockOptions, RelayOptions, UdpOptions,
    UdpTimeouts,
};
use faith_stack::HoldLimits;
use napi_derive::napi;

use crate::failure::{NativeFailure, Outcome, outcome};
use crate::options::{self, NativeLocalService, NativeRelayOptions, NativeUdpOptions};

pub(crate) fn relay_options(options: &NativeRelayOptions) -> Result<RelayOptions, NativeFailure> {
    let access = access_list(&options.access_list, &options.access_list_name, options.allow_loopback)?;
    let proxy = options::one_of(
        "proxyProtocol",
        &options.proxy_protocol.to_string(),
        &[("0", None), ("1", Some(Version::V1)), ("2", Some(Version::V2))],
    )?;
    if options.client_prefix_length > 128 {
        let message = format!("clientPrefixLength {} is outside 0-128", options.client_prefix_length);
        return Err(NativeFailure::new("ERR_FAITH_ARGUMENT", message));
    }
    let idle = Duration::from_millis(options.idle_timeout_ms.into());
    Ok(RelayOptions {
        ports: options::ports(&options.ports)?,
        tcp: options.tcp,
        udp: options.udp.as_ref().map(udp_options).transpose()?,
        address: options::address(options.address.as_ref())?,
        backlog: options.backlog,
        mappings: mappings(&options.mapping, &options.mappings)?,
        access,
        routing: None,
        local: Local {
            services: options.local_services.iter().map(local_service).collect::<Result<_, _>>()?,
            host: options.local_host,
        },
        taker: None,
        sources: parse_each("localAddresses", &options.local_addresses)?,
        port_blocks: port_blocks(options)?,
        privileged_source: options.privileged_local_port,
        proxy,
        copy_dscp: options.copy_dscp,
        connect_first: options.connect_first,
        hold: HoldLimits {
            total: options.max_held,
            per_client: options.max_held_per_client,
            per_second: limit(options.max_rate_per_client),
            client_prefix_length: options.client_prefix_length,
        },
        connect_timeout: Duration::from_millis(options.connect_timeout_ms.into()),
        idle_timeout: (!idle.is_zero()).then_some(idle),
        keep_alive: Duration::from_millis(options.keep_alive_timeout_ms.into()),
        max_sessions: limit(options.max_sessions),
        clients: ClientLimits {
            prefix_length: options.client_prefix_length,
            max_sessions: limit(options.max_sessions_per_client),
            per_second: limit(options.max_rate_per_client),
        },
    })
}

fn local_service(service: &NativeLocalService) -> Result<LocalService, NativeFailure> {
    let address = service.address.as_ref().map(|address| {
        address.parse().map_err(|_| {
            let message = format!("`{}` is not an IPv4 address", excerpt(address));
            NativeFailure::new("ERR_FAITH_ARGUMENT", message)
        })
    });
    Ok(LocalService { address: address.transpose()?, ports: options::ports(&service.ports)? })
}

fn port_blocks(options: &NativeRelayOptions) -> Result<Option<PortBlockOptions>, NativeFailure> {
    if options.port_block_size == 0 {
        return Ok(None);
    }
    let refuse = |message: &str, hint: &str| {
        let mut failure = NativeFailure::new("ERR_FAITH_ARGUMENT", message);
        failure.hint = Some(hint.to_owned());
        failure
    };
    if options.local_addresses.is_empty() {
        let hint = "name the addresses whose ports clients get in blocks";
        return Err(refuse("blocks of ports need localAddresses (source)", hint));
    }
    if options.privileged_local_port {
        let hint = "leave one of the two out";
        return Err(refuse("blocks of ports have no privileged ports", hint));
    }
    Ok(Some(PortBlockOptions {
        size: options.port_block_size,
        per_client: options.port_blocks_per_client,
        rest: Duration::from_millis(options.port_block_rest_ms.into()),
    }))
}

fn udp_options(options: &NativeUdpOptions) -> Result<UdpOptions, NativeFailure> {
    let filtering = options::one_of(
        "filtering",
        &options.filtering,
        &[
            ("endpoint-independent", Filtering::EndpointIndependent),
            ("address-dependent", Filtering::AddressDependent),
            ("address-and-port-dependent", Filtering::AddressAndPortDependent),
        ],
    )?;
    let oversize = options::one_of(
        "oversize",
        &options.oversize,
        &[("fragment", Oversize::Fragment), ("drop", Oversize::Drop)],
    )?;
    let time = |milliseconds: u32| Duration::from_millis(milliseconds.into());
    let ports = options.port_timeouts.iter().map(|it| (it.port, time(it.timeout_ms))).collect();
    Ok(UdpOptions {
        udp: options.udp,
        icmp: options.icmp,
        filtering,
        oversize,
        timeouts: UdpTimeouts { otherwise: time(options.timeout_ms), ports },
        max_mappings: options.max_mappings,
        max_mappings_per_client: limit(options.max_mappings_per_client),
        max_rate_per_client: limit(options.max_rate_per_client),
        max_rate: options.max_rate,
    })
}

pub(crate) fn access_list(text: &str, name: &str, allow_loopback: bool) -> Result<AccessList, NativeFailure> {
    AccessList::parse(text, name).map(|list| list.with_loopback(allow_loopback)).map_err(access_list_failure)
}

/// Number of rules of an access list, or the failure that lists its errors. Errors call the list `name`.
#[napi(ts_return_type = "NativeFailure | number")]
#[must_use]
pub fn check_access_list(text: String, name: String) -> Outcome<u32> {
    let rules = access::parse(&text, &name).map_err(access_list_failure);
    outcome(rules.map(|rules| u32::try_from(rules.len()).unwrap_or(u32::MAX)))
}

/// Rules of an access list that have no effect.
#[napi(object)]
pub struct NativeAccessDoubts {
    /// Rules that never decide, each with the one that decides instead.
    pub vain: Vec<NativeVainRule>,
    /// True if there are rules and none can permit anything.
    pub permits_nothing: bool,
}

/// A rule that never decides.
#[napi(object)]
pub struct NativeVainRule {
    /// The rule.
    pub rule: String,
    /// The earlier one that decides all that it matches.
    pub decided_by: String,
}

/// Finds rules of an access list that have no effect.
#[napi(ts_return_type = "NativeFailure | NativeAccessDoubts")]
#[must_use]
pub fn access_doubts(text: String, name: String) -> Outcome<NativeAccessDoubts> {
    outcome(AccessList::parse(&text, &name).map_err(access_list_failure).map(|list| {
        let written = |place| list.written(place).map(|rule| rule.text).unwrap_or_default();
        let vain = list.vain().into_iter();
        NativeAccessDoubts {
            vain: vain
                .map(|(rule, by)| NativeVainRule { rule: written(rule), decided_by: written(by) })
                .collect(),
            permits_nothing: list.permits_nothing(),
        }
    }))
}

/// Checks the options of a relay without opening one.
#[napi(ts_return_type = "NativeFailure | null")]
#[must_use]
pub fn check_relay_options(options: NativeRelayOptions) -> Outcome<()> {
    outcome(relay_options(&options).map(drop))
}

fn access_list_failure(errors: AccessListErrors) -> NativeFailure {
    NativeFailure::new("ERR_FAITH_ACCESS_LIST", errors)
}

pub(crate) fn mappings(mapping: &str, explicit: &[String]) -> Result<Mappings, NativeFailure> {
    let otherwise =
        options::one_of("mapping", mapping, &[("rfc6052", Mapping::Rfc6052), ("low32", Mapping::Low32)])?;
    Mappings::new(otherwise, parse_each("mapping", explicit)?)
        .map_err(|error| NativeFailure::new("ERR_FAITH_ARGUMENT", error))
}

pub(crate) fn parse_each<T: FromStr<Err: Display>>(
    what: &str,
    texts: &[String],
) -> Result<Vec<T>, NativeFailure> {
    let parse = |text: &String| {
        text.parse().map_err(|error| {
            NativeFailure::new("ERR_FAITH_ARGUMENT", format!("{what} `{}`: {error}", excerpt(text)))
        })
    };
    texts.iter().map(parse).collect()
}

/// Turns 0 into no limit.
fn limit(most: u32) -> Option<u32> {
    (most > 0).then_some(most)
}
