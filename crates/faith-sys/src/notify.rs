//! Messages to the service manager, by the protocol of sd_notify(3): datagrams to a Unix socket, which Node cannot send.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A manager that does not read for this long misses the message. The sender may be the thread of an event loop.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends a message to a socket as `NOTIFY_SOCKET` names it: by its path, or as an abstract name behind `@`.
///
/// # Errors
/// The name has neither form, no such socket exists, or its reader is a second late (`WouldBlock`).
pub fn notify(socket: &str, message: &str) -> io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None if socket.starts_with('/') => SocketAddr::from_pathname(socket)?,
        None => return Err(io::Error::other("it is neither an absolute path nor an abstract name")),
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(PATIENCE))?;
    sender.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(reader: &UnixDatagram) -> String {
        let mut buffer = [0; 100];
        let length = reader.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_message_reaches_a_socket_by_its_path() {
        let path = std::env::temp_dir().join(format!("faith-notify-{}", std::process::id()));
        let reader = UnixDatagram::bind(&path).unwrap();
        notify(path.to_str().unwrap(), "READY=1\nSTATUS=well").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(heard(&reader), "READY=1\nSTATUS=well");
    }

    #[test]
    fn a_message_reaches_an_abstract_socket() {
        let name = format!("faith-notify-{}", std::process::id());
        let reader = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        notify(&format!("@{name}"), "STOPPING=1").unwrap();
        assert_eq!(heard(&reader), "STOPPING=1");
    }

    #[test]
    fn a_name_of_another_form_and_an_absent_socket_are_errors() {
        let kind = |socket| notify(socket, "READY=1").unwrap_err().kind();
        assert_eq!(kind("vsock:2:1234"), io::ErrorKind::Other);
        assert_eq!(kind("/nonexistent/notify"), io::ErrorKind::NotFound);
        assert_eq!(kind("@faith-notify-that-nothing-binds"), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_manager_that_reads_nothing_stops_the_sender_for_a_bounded_time() {
        let name = format!("faith-notify-full-{}", std::process::id());
        let _reader = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let socket = format!("@{name}");
        let error = (0..100_000).find_map(|_| notify(&socket, "WATCHDOG=1").err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
