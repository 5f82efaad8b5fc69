//! Whether there is IPv6 at all: hosts are set up without, or without for interfaces that are made later.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::error::StackError;

/// Whether the host has IPv6.
///
/// # Errors
/// [`StackError::Ipv6`]: the kernel runs without, or it is switched off on every interface.
pub(crate) fn check_host() -> Result<(), StackError> {
    let tried = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    if tried.err() == Some(Errno::AFNOSUPPORT) {
        return Err(StackError::Ipv6 {
            what: "the kernel runs without it".to_owned(),
            hint: "boot without ipv6.disable=1, or load the module: modprobe ipv6",
        });
    }
    // Interfaces may have it although it was switched off for all: then only ours is to have it too.
    let nowhere = fs::read("/proc/thread-self/net/if_inet6").is_ok_and(|addresses| addresses.is_empty());
    if nowhere && setting("all").is_some_and(|setting| setting != "0") {
        return Err(StackError::Ipv6 {
            what: "net.ipv6.conf.all.disable_ipv6 is 1".to_owned(),
            hint: "sysctl -w net.ipv6.conf.all.disable_ipv6=0, and see what sets it (/etc/sysctl.d)",
        });
    }
    Ok(())
}

/// Switches IPv6 on for a device of ours, where it is off for new ones.
///
/// # Errors
/// [`StackError::Ipv6`]: that may not be done here.
pub(crate) fn enable(device: &str) -> Result<(), StackError> {
    if setting(device).is_none_or(|setting| setting == "0") {
        return Ok(());
    }
    fs::write(file(device), "0").map_err(|error: io::Error| StackError::Ipv6 {
        what: format!("net.ipv6.conf.{device}.disable_ipv6 is 1, and cannot be changed: {error}"),
        hint: "sysctl -w net.ipv6.conf.default.disable_ipv6=0, outside of the container",
    })
}

fn file(device: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6")
}

/// Unknown without /proc.
fn setting(device: &str) -> Option<String> {
    fs::read_to_string(file(device)).ok().map(|text| text.trim().to_owned())
}
