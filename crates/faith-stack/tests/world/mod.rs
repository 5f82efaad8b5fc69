//! A host in its own network namespace, and a service that echoes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV6, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use faith_packet::ports::PortSet;
use faith_stack::{
    Captured, FaithInterface, HeldSyn, InterfaceOptions, ListenOptions, ListenerHandle, Service, StackError,
};

/// The prefix that tests capture.
pub(crate) const PREFIX: &str = "64:ff9b::/96";

/// Runs `test` in a new network namespace with one IPv6 address. If this user may not make one, this prints so and skips
/// the test; in CI it fails.
pub(crate) fn in_a_namespace(test: impl FnOnce() + Send + 'static) {
    let ran = std::thread::spawn(|| {
        if let Err(error) = faith_sys::netns::unshare_network() {
            assert!(std::env::var_os("CI").is_none(), "cannot make a network namespace: {error}");
            eprintln!("not run: cannot make a network namespace: {error}");
            return;
        }
        ip("link set lo up");
        ip("-6 addr add 2001:db8::1/128 dev lo nodad");
        // The kernel adds the local route of an address a moment later (addrconf_dad_work()).
        while !ip("-6 route show table local").contains("2001:db8::1 ") {
            std::thread::yield_now();
        }
        faith_stack::set_keepfaith(true);
        test();
    })
    .join();
    if let Err(panic) = ran {
        std::panic::resume_unwind(panic);
    }
}

/// Runs ip(8) in the namespace of the calling thread.
pub(crate) fn ip(arguments: &str) -> String {
    let done = Command::new("ip").args(arguments.split(' ')).output().expect("ip(8) of iproute2");
    assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// A faith interface with [`PREFIX`] and two workers.
pub(crate) fn faith(change: impl FnOnce(&mut InterfaceOptions)) -> Result<FaithInterface, StackError> {
    let mut options = InterfaceOptions::new("faith0", vec![PREFIX.parse().unwrap()]);
    options.workers = Some(2);
    change(&mut options);
    FaithInterface::create(options, Box::new(|_| {}), Box::new(|_| {}))
}

/// The decision about a held SYN.
pub(crate) type Verdict = fn(HeldSyn);

/// Echoes all bytes, on a thread per connection, and remembers the dialled addresses.
#[derive(Default)]
pub(crate) struct Echo {
    /// The dialled address of each connection, in the order accepted.
    pub(crate) dialled: Mutex<Vec<SocketAddrV6>>,
    /// The decision about held SYNs; `None` releases them.
    pub(crate) verdict: Option<Verdict>,
}

impl Service for Echo {
    fn offered(self: Arc<Self>, _worker: usize, syn: HeldSyn) {
        match self.verdict {
            Some(verdict) => verdict(syn),
            None => drop(syn.release()),
        }
    }

    fn accepted(self: Arc<Self>, _worker: usize, connection: Captured) {
        self.dialled.lock().unwrap().push(connection.destination);
        let mut stream = TcpStream::from(connection.socket);
        stream.set_nonblocking(false).unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut bytes) {
                if stream.write_all(&bytes[..length]).is_err() {
                    break;
                }
            }
        });
    }
}

/// Listens on `ports` with an [`Echo`].
pub(crate) fn listen(
    faith: &FaithInterface,
    ports: PortSet,
    echo: &Arc<Echo>,
) -> Result<ListenerHandle, StackError> {
    let hold = echo.verdict.map(|_| faith_stack::HoldLimits::default());
    let options = ListenOptions { ports, address: None, backlog: 128, prepare: |_| Ok(()), hold };
    faith.listen(options, Arc::<Echo>::clone(echo))
}

/// Connects to `[address]:port` and checks that a word is echoed.
pub(crate) fn greet(address: &str, port: u16) -> std::io::Result<()> {
    let to = SocketAddrV6::new(address.parse().unwrap(), port, 0, 0);
    let mut stream = TcpStream::connect_timeout(&to.into(), Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"hello")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"hello");
    Ok(())
}

/// Waits until `condition` holds; panics after ten seconds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}: not within ten seconds");
        std::thread::yield_now();
    }
}
