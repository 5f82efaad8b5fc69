//! Checks that the host has IPv6, and enables it for faithd's devices: some hosts disable it, or disable it for new
//! interfaces.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::error::StackError;

/// Checks that the host has IPv6.
///
/// # Errors
/// [`StackError::Ipv6`]: the kernel runs without IPv6, or every interface has it disabled.
pub(crate) fn check_host() -> Result<(), StackError> {
    let tried = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    if tried.err() == Some(Errno::AFNOSUPPORT) {
        return Err(StackError::Ipv6 {
            what: "the kernel runs without IPv6".to_owned(),
            hint: "boot without ipv6.disable=1, or load the module: modprobe ipv6",
        });
    }
    // Some interfaces may have IPv6 although `all` disables it. Then faithd enables it for its own device only.
    let nowhere = fs::read("/proc/thread-self/net/if_inet6").is_ok_and(|addresses| addresses.is_empty());
    if nowhere && setting("all").is_some_and(|setting| setting != "0") {
        return Err(StackError::Ipv6 {
            what: "net.ipv6.conf.all.disable_ipv6 is 1".to_owned(),
            hint: "sysctl -w net.ipv6.conf.all.disable_ipv6=0, and find the file that sets it (/etc/sysctl.d)",
        });
    }
    Ok(())
}

/// Enables IPv6 for a device of faithd's, in case the host disables it for new devices.
///
/// # Errors
/// [`StackError::Ipv6`]: this process may not enable it.
pub(crate) fn enable(device: &str) -> Result<(), StackError> {
    if setting(device).is_none_or(|setting| setting == "0") {
        return Ok(());
    }
    fs::write(file(device), "0").map_err(|error: io::Error| StackError::Ipv6 {
        what: format!("net.ipv6.conf.{device}.disable_ipv6 is 1, and cannot be changed: {error}"),
        hint: "sysctl -w net.ipv6.conf.default.disable_ipv6=0, outside the container",
    })
}

fn file(device: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6")
}

/// Reads the setting; `None` without /proc.
fn setting(device: &str) -> Option<String> {
    fs::read_to_string(file(device)).ok().map(|text| text.trim().to_owned())
}
