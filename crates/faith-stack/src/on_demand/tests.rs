//! Each test makes an interface with one worker in a network namespace of its own, and hands SYNs to the worker's lane.
//! The tests need root, or the same rights as faithd. Without them they print so and pass, except in CI.

use std::io;
use std::net::{SocketAddrV6, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};

use faith_packet::classify::Flow;
use faith_packet::ports::PortSet;
use faith_sys::netns;
use faith_sys::tun::VIRTIO_HEADER;
use rustix::io::Errno;

use super::*;
use crate::handle::ListenerHandle;
use crate::interface::FaithInterface;
use crate::keepfaith::set_keepfaith;
use crate::options::{InterfaceOptions, ShortcutUse, Steering};
use crate::packets::builder::{CLIENT, SERVER, syn};
use crate::service::{Captured, ListenOptions, Prepare, Service};

const PORT: u16 = 80;

/// Ignores the connections it gets.
struct Ignoring;

impl Service for Ignoring {
    fn accepted(self: Arc<Self>, _worker: usize, _connection: Captured) {}
}

fn with_interface(test: impl FnOnce(&FaithInterface) + Send + 'static) {
    let ran = std::thread::spawn(|| {
        if let Err(error) = netns::unshare_network() {
            assert!(std::env::var_os("CI").is_none(), "cannot make a network namespace: {error}");
            eprintln!("not run: cannot make a network namespace: {error}");
            return;
        }
        set_keepfaith(true);
        let mut options = InterfaceOptions::new("faith0", vec!["64:ff9b::/96".parse().unwrap()]);
        (options.workers, options.routes) = (Some(1), false);
        (options.steering, options.shortcut) = (Steering::OnDemand, ShortcutUse::Off);
        test(&FaithInterface::create(options, Box::new(|_| {}), Box::new(|_| {})).unwrap());
    })
    .join();
    if let Err(panic) = ran {
        std::panic::resume_unwind(panic);
    }
}

/// Listens on every port.
fn listen(faith: &FaithInterface, prepare: Prepare) -> ListenerHandle {
    let options = ListenOptions { ports: PortSet::all(), address: None, backlog: 128, prepare, hold: None };
    faith.listen(options, Arc::new(Ignoring)).unwrap()
}

/// Lets the worker hand `count` SYNs to the listener.
fn show_syns(faith: &FaithInterface, handle: &ListenerHandle, count: usize) {
    let listener = Arc::clone(&handle.listener);
    let (done, shown) = mpsc::channel();
    faith.workers.run(0, move |lane| {
        let flow = Flow {
            client: SocketAddrV6::new(CLIENT, 49152, 0, 0),
            destination: SocketAddrV6::new(SERVER, PORT, 0, 0),
        };
        let frame = [&[0; VIRTIO_HEADER], &syn()[..]].concat();
        (0..count).for_each(|_| lane.show_syn(&listener, &flow, &frame));
        done.send(()).unwrap();
    });
    shown.recv().unwrap();
}

/// Waits until the thread inside the namespace, and then the worker, have done all that they were given.
fn settle(faith: &FaithInterface, handle: &ListenerHandle) {
    handle.namespace.run(|_| ()).unwrap();
    show_syns(faith, handle, 0);
}

/// Makes the thread inside the namespace wait until the returned sender is dropped.
fn detain(handle: &ListenerHandle) -> mpsc::Sender<()> {
    let (go_on, detained) = mpsc::channel();
    assert!(handle.namespace.post(move |_| {
        let _ = detained.recv();
    }));
    go_on
}

/// Dials the port inside the namespace, where the kernel answers without the pump.
fn dial(handle: &ListenerHandle) -> io::Result<()> {
    let to = SocketAddrV6::new(SERVER, PORT, 0, 0);
    handle.namespace.run(move |_| TcpStream::connect(to).map(drop)).unwrap()
}

/// The count of SYNs dropped because they could not wait, or waited in vain.
fn held_back(faith: &FaithInterface) -> u64 {
    faith.stats().drops[DropReason::Hold.index()]
}

#[test]
fn a_port_has_a_socket_from_its_first_syn_until_the_listener_is_closed() {
    with_interface(|faith| {
        let handle = listen(faith, |_| Ok(()));
        assert_eq!(dial(&handle).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        show_syns(faith, &handle, 1);
        dial(&handle).unwrap();
        handle.close();
        assert_eq!(dial(&handle).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_listener_that_is_closed_while_a_port_is_opened_leaves_no_socket() {
    static MAKES: Barrier = Barrier::new(2);
    with_interface(|faith| {
        let handle = listen(faith, |_| {
            MAKES.wait();
            MAKES.wait();
            Ok(())
        });
        show_syns(faith, &handle, 1);
        MAKES.wait();
        handle.close();
        MAKES.wait();
        assert_eq!(dial(&handle).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_closed_listener_makes_no_socket() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    with_interface(|faith| {
        let handle = listen(faith, |_| {
            MADE.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let detained = detain(&handle);
        show_syns(faith, &handle, 1);
        handle.close();
        drop(detained);
        // A worker may still have the listener when it is closed.
        show_syns(faith, &handle, 1);
        settle(faith, &handle);
        assert_eq!(MADE.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn the_kernel_gets_the_syns_of_a_closed_listener_at_once() {
    with_interface(|faith| {
        let handle = listen(faith, |_| Ok(()));
        let _detained = detain(&handle);
        show_syns(faith, &handle, 3);
        assert_eq!(faith.stats().captured_packets, 0);
        handle.close();
        show_syns(faith, &handle, 1);
        assert_eq!(faith.stats().captured_packets, 4);
    });
}

#[test]
fn syns_beyond_those_that_may_wait_are_counted_as_dropped() {
    with_interface(|faith| {
        let handle = listen(faith, |_| Ok(()));
        let detained = detain(&handle);
        show_syns(faith, &handle, WAITING + 2);
        assert_eq!(held_back(faith), 2);
        drop(detained);
        settle(faith, &handle);
        assert_eq!(held_back(faith), 2);
        assert_eq!(faith.stats().captured_packets, WAITING as u64);
    });
}

#[test]
fn syns_whose_socket_cannot_be_made_are_counted_as_dropped_and_the_next_tries_again() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    with_interface(|faith| {
        let handle = listen(faith, |_| match MADE.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Errno::MFILE.into()),
            _ => Ok(()),
        });
        let detained = detain(&handle);
        show_syns(faith, &handle, 3);
        drop(detained);
        settle(faith, &handle);
        assert_eq!(held_back(faith), 3);
        show_syns(faith, &handle, 1);
        dial(&handle).unwrap();
        settle(faith, &handle);
        assert_eq!((held_back(faith), faith.stats().captured_packets), (3, 1));
    });
}
