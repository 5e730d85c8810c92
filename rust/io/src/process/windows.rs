//! The same of Windows, where nothing forks, and where an event loop can wait for sockets only.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::windows::io::AsRawSocket;

use windows_sys::Win32::Networking::WinSock::{SIO_UDP_CONNRESET, SOCKET, WSAIoctl};

/// A socket that becomes readable when raised: it is connected to itself.
pub struct Signal {
    socket: UdpSocket,
}

impl Signal {
    pub fn new() -> io::Result<Signal> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok(Signal { socket })
    }

    /// Handles of Windows have 32 bits that count, also where a pointer has more.
    pub fn fileno(&self) -> i32 {
        self.socket.as_raw_socket() as i32
    }

    pub fn raise(&self) {
        // A socket with no room has something to read already.
        let _ = self.socket.send(&[1]);
    }

    /// One raise at a time is outstanding, so one read is enough.
    pub fn lower(&self) {
        let _ = self.socket.recv(&mut [0; 8]);
    }
}

pub fn forks() -> u64 {
    0
}

pub fn watch_forks() {}

pub fn remember_socket(_: &impl AsRawSocket) {}

pub fn forget_socket(_: &impl AsRawSocket) {}

/// Whether connect has started, and goes on by itself: here the error has a kind of its own.
pub fn is_connecting(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Else a datagram that nobody listens for makes later calls of the same socket fail.
pub fn ignore_refusals(socket: &impl AsRawSocket) {
    let (off, mut size) = (0u32, 0u32);
    let input = (&raw const off).cast();
    // SAFETY: four bytes are read from `off`, and four written to `size`; nothing is overlapped.
    unsafe {
        WSAIoctl(
            socket.as_raw_socket() as SOCKET,
            SIO_UDP_CONNRESET,
            input,
            size_of::<u32>() as u32,
            std::ptr::null_mut(),
            0,
            &raw mut size,
            std::ptr::null_mut(),
            None,
        );
    }
}

/// Errors of sockets have numbers of their own; the others are the nearest of the system.
pub mod errno {
    use windows_sys::Win32::Foundation as system;
    use windows_sys::Win32::Networking::WinSock as socket;

    pub const EACCES: i32 = socket::WSAEACCES;
    pub const EADDRINUSE: i32 = socket::WSAEADDRINUSE;
    pub const EADDRNOTAVAIL: i32 = socket::WSAEADDRNOTAVAIL;
    pub const EAFNOSUPPORT: i32 = socket::WSAEAFNOSUPPORT;
    pub const EAGAIN: i32 = socket::WSAEWOULDBLOCK;
    pub const EHOSTUNREACH: i32 = socket::WSAEHOSTUNREACH;
    pub const EMFILE: i32 = socket::WSAEMFILE;
    pub const ENETDOWN: i32 = socket::WSAENETDOWN;
    pub const ENETUNREACH: i32 = socket::WSAENETUNREACH;
    pub const ENFILE: i32 = system::ERROR_TOO_MANY_OPEN_FILES as i32;
    pub const ENOBUFS: i32 = socket::WSAENOBUFS;
    pub const ENOMEM: i32 = system::ERROR_NOT_ENOUGH_MEMORY as i32;
    pub const EPERM: i32 = system::ERROR_ACCESS_DENIED as i32;
}
