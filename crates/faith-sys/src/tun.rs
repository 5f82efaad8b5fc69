//! TUN devices with several queues, virtio headers and segmentation offload (Linux 3.8; linux/if_tun.h).
//!
//! A device belongs to the network namespace of the thread that opens its first queue. The kernel removes it when the
//! descriptor of its last queue is closed.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The length of `struct virtio_net_hdr`, which stands before every packet read or written. Passed on unchanged, it
/// carries partial checksums and 64 KiB segments from one device to another. All zero, it means a complete packet.
pub const VIRTIO_HEADER: usize = 10;

/// The longest frame of a queue: a virtio header and an IPv6 packet of the largest payload length.
pub const MAX_FRAME: usize = VIRTIO_HEADER + 40 + 65_535;

/// The longest legal interface name in bytes.
pub const MAX_NAME: usize = libc::IFNAMSIZ - 1;

/// Checksums and TCP segments are left to the devices that the packets go on to.
const OFFLOAD: libc::c_uint = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;

/// The step that failed, with its error.
#[derive(Debug)]
pub enum TunError {
    /// open(2) of /dev/net/tun.
    Open(io::Error),
    /// `TUNSETIFF`: `EPERM` without `CAP_NET_ADMIN`, `EBUSY` if the name is taken.
    Attach(io::Error),
    /// `TUNSETOFFLOAD`.
    Offload(io::Error),
}

/// One queue of a TUN device, non-blocking.
#[derive(Debug)]
pub struct Tun(OwnedFd);

impl Tun {
    /// Makes the device `name` in the calling thread's network namespace and opens `queues` queues of it.
    /// Queue `n` is the `n`th element.
    ///
    /// # Errors
    /// [`TunError`]. `Attach(EBUSY)` if the device exists already: this never attaches to it.
    pub fn create(name: &str, queues: usize) -> Result<Vec<Self>, TunError> {
        let mut opened = Vec::with_capacity(queues);
        for index in 0..queues {
            // IFF_TUN_EXCL refuses an existing device, which includes our own for the second queue.
            let exclusive = if index == 0 { libc::IFF_TUN_EXCL } else { 0 };
            let several = if queues > 1 { libc::IFF_MULTI_QUEUE } else { 0 };
            opened.push(Self::open(name, exclusive | several)?);
        }
        Ok(opened)
    }

    /// Tests if the calling thread may make a device in its network namespace, and makes none.
    ///
    /// The kernel refuses `TUNSETIFF` with neither `IFF_TUN` nor `IFF_TAP` with `EINVAL`, but checks the capability first
    /// (`tun_set_iff()` in drivers/net/tun.c).
    ///
    /// # Errors
    /// As [`create`](Self::create): `Open`, or `Attach(EPERM)` without `CAP_NET_ADMIN`.
    pub fn may_create() -> Result<(), TunError> {
        let file = open_tun()?;
        match attach(&file, "faith%d", 0) {
            Err(TunError::Attach(error)) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            answer => answer,
        }
    }

    fn open(name: &str, flags: libc::c_int) -> Result<Self, TunError> {
        let file = open_tun()?;
        attach(&file, name, libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | flags)?;
        let queue = Self(file.into());
        queue.set_offload(OFFLOAD).map_err(TunError::Offload)?;
        Ok(queue)
    }

    /// Makes the device carry superframes of UDP too (`TUN_F_USO4`, `TUN_F_USO6`; Linux 6.2). A call for one queue holds for
    /// the whole device.
    ///
    /// # Errors
    /// `EINVAL` before Linux 6.2.
    pub fn carry_superframes(&self) -> io::Result<()> {
        self.set_offload(OFFLOAD | libc::TUN_F_USO4 | libc::TUN_F_USO6)
    }

    fn set_offload(&self, offload: libc::c_uint) -> io::Result<()> {
        let offload = libc::c_ulong::from(offload);
        // SAFETY: TUNSETOFFLOAD takes its argument by value.
        if unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TUNSETOFFLOAD as _, offload) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Makes a loaded program of type `BPF_PROG_TYPE_SOCKET_FILTER` choose the queue of every packet sent to this queue's
    /// device: the program's return value, modulo the number of queues (`TUNSETSTEERINGEBPF`, Linux 4.16). The device
    /// keeps the program loaded.
    ///
    /// # Errors
    /// `EINVAL` before Linux 4.16, or for a program of another type.
    pub fn steer(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        let program = program.as_raw_fd();
        // SAFETY: TUNSETSTEERINGEBPF reads one int, which outlives the call.
        if unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TUNSETSTEERINGEBPF as _, &raw const program) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Reads one frame (virtio header and packet), and returns its length.
    ///
    /// # Errors
    /// `EAGAIN` if the queue is empty, `EBADFD` if the device was deleted; see [`is_deleted`](Self::is_deleted).
    pub fn read(&self, frame: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, frame)?)
    }

    /// Waits until this queue or `other` is readable or its device is gone. Returns false if that takes longer than
    /// `limit`.
    ///
    /// # Errors
    /// Those of poll(2), including `EINTR`.
    pub fn wait(&self, other: &impl AsFd, limit: Duration) -> io::Result<bool> {
        let mut queues = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(other, PollFlags::IN)];
        let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
        Ok(poll(&mut queues, Some(&limit))? > 0)
    }

    /// Returns true if an error of [`read`](Self::read) or [`write`](Self::write) means that the device was deleted.
    #[must_use]
    pub fn is_deleted(error: &io::Error) -> bool {
        error.raw_os_error() == Some(libc::EBADFD)
    }

    /// Writes one frame (virtio header and packet). When this returns, the kernel has processed the packet up to the
    /// wake-up of its socket.
    ///
    /// # Errors
    /// `EINVAL` for a virtio header that contradicts its packet, `EIO` while the device is down, `EBADFD` if it was
    /// deleted.
    pub fn write(&self, frame: &[u8]) -> io::Result<()> {
        rustix::io::write(&self.0, frame)?;
        Ok(())
    }
}

fn open_tun() -> Result<File, TunError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")
        .map_err(TunError::Open)
}

/// `TUNSETIFF`.
fn attach(file: &File, name: &str, flags: libc::c_int) -> Result<(), TunError> {
    // SAFETY: an all-zero ifreq is a valid value.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(MAX_NAME)) {
        // c_char has a sign on x86-64, and none on aarch64.
        *to = libc::c_char::from_ne_bytes([from]);
    }
    #[expect(clippy::cast_possible_truncation, reason = "if_tun.h's flags are 16 bits wide")]
    {
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
    }
    // SAFETY: TUNSETIFF reads and writes one ifreq, which outlives the call.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &mut request) } < 0 {
        return Err(TunError::Attach(io::Error::last_os_error()));
    }
    Ok(())
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Tun {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
