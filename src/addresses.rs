//! IPv4 addresses inside IPv6 ones (RFC 6052).

use std::net::{Ipv4Addr, Ipv6Addr};

use faith_packet::excerpt::excerpt;
use faith_packet::rfc6052;
use napi_derive::napi;

use crate::failure::{NativeFailure, Outcome, outcome};
use crate::options;

/// The address inside `prefix` that stands for `ipv4`.
#[napi(ts_return_type = "NativeFailure | string")]
#[must_use]
pub fn embed(ipv4: String, prefix: String) -> Outcome<String> {
    outcome(embedded(&ipv4, &prefix))
}

/// The IPv4 address for which `ipv6` stands; `null` outside `prefix`.
#[napi(ts_return_type = "NativeFailure | string | null")]
#[must_use]
pub fn extract(ipv6: String, prefix: String) -> Outcome<Option<String>> {
    outcome(extracted(&ipv6, &prefix))
}

fn embedded(ipv4: &str, prefix: &str) -> Result<String, NativeFailure> {
    let prefix = options::prefix(prefix)?;
    let address: Ipv4Addr = ipv4.parse().map_err(|_| not_an_address(ipv4, "IPv4", "198.51.100.2"))?;
    Ok(rfc6052::embed(&prefix, address).to_string())
}

fn extracted(ipv6: &str, prefix: &str) -> Result<Option<String>, NativeFailure> {
    let prefix = options::prefix(prefix)?;
    let address: Ipv6Addr =
        ipv6.parse().map_err(|_| not_an_address(ipv6, "IPv6", "64:ff9b::198.51.100.2"))?;
    Ok(rfc6052::extract(&prefix, address).map(|ipv4| ipv4.to_string()))
}

fn not_an_address(text: &str, family: &str, example: &str) -> NativeFailure {
    let message = format!("`{}` is not an {family} address", excerpt(text));
    let mut failure = NativeFailure::new("ERR_FAITH_ARGUMENT", message);
    failure.hint = Some(format!("write it as {example}"));
    failure
}
