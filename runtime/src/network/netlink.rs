//! The few messages of rtnetlink(7) that a sandbox needs: about as much code as a library's set-up.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

/// An answer is one acknowledgement or error; the kernel's own buffers are this size.
const ANSWER_MAX: usize = 16 * 1024;

const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const NESTED: u16 = 0x8000;

const IFF_UP: u32 = 1;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_HOST: u8 = 254;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;

/// A netlink socket of the network namespace that the process was in when it was opened.
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub fn open() -> io::Result<Self> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Both ends of a cable: `name` here, `peer` in another namespace.
    pub fn add_veth(&mut self, name: &str, peer: &str, peer_namespace: BorrowedFd) -> io::Result<()> {
        let mut peer_link = link_header(0, 0).to_vec();
        attribute(&mut peer_link, IFLA_IFNAME, &text(peer));
        attribute(&mut peer_link, IFLA_NET_NS_FD, &peer_namespace.as_raw_fd().to_ne_bytes());
        let mut data = Vec::new();
        attribute(&mut data, VETH_INFO_PEER | NESTED, &peer_link);
        let mut info = Vec::new();
        attribute(&mut info, IFLA_INFO_KIND, &text("veth"));
        attribute(&mut info, IFLA_INFO_DATA | NESTED, &data);
        let mut body = link_header(0, 0).to_vec();
        attribute(&mut body, IFLA_IFNAME, &text(name));
        attribute(&mut body, IFLA_LINKINFO | NESTED, &info);
        self.call(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body)
    }

    pub fn set_up(&mut self, name: &str) -> io::Result<()> {
        self.call(RTM_NEWLINK, 0, &link_header(index_of(name)?, IFF_UP))
    }

    pub fn add_address(&mut self, name: &str, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut body = vec![libc::AF_INET as u8, prefix, 0, RT_SCOPE_UNIVERSE];
        body.extend(index_of(name)?.to_ne_bytes());
        attribute(&mut body, IFA_LOCAL, &address.octets());
        attribute(&mut body, IFA_ADDRESS, &address.octets());
        self.call(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body)
    }

    pub fn add_default_route(&mut self, gateway: Ipv4Addr) -> io::Result<()> {
        let mut body = route_header(0, RT_TABLE_MAIN, RT_SCOPE_UNIVERSE, RTN_UNICAST).to_vec();
        attribute(&mut body, RTA_GATEWAY, &gateway.octets());
        self.call(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body)
    }

    pub fn make_everything_local(&mut self) -> io::Result<()> {
        let mut body = route_header(0, RT_TABLE_MAIN, RT_SCOPE_HOST, RTN_LOCAL).to_vec();
        attribute(&mut body, RTA_DST, &Ipv4Addr::UNSPECIFIED.octets());
        attribute(&mut body, RTA_OIF, &index_of("lo")?.to_ne_bytes());
        self.call(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body)
    }

    /// One request and its acknowledgement.
    fn call(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.sequence += 1;
        let mut message = Vec::with_capacity(16 + body.len());
        message.extend((16 + body.len() as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(body);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;

        let mut answer = vec![0; ANSWER_MAX];
        let length = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        errno_of(&answer[..length])
    }
}

/// The error number that an acknowledgement carries; 0 is success.
fn errno_of(answer: &[u8]) -> io::Result<()> {
    let unexpected = || io::Error::new(io::ErrorKind::InvalidData, "an answer of rtnetlink that is no acknowledgement");
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let code = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(unexpected()),
    }
}

/// `struct ifinfomsg`: sets the flags given, leaves the others.
fn link_header(index: u32, flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}

/// `struct rtmsg`.
fn route_header(prefix: u8, table: u8, scope: u8, kind: u8) -> [u8; 12] {
    let mut header = [0; 12];
    header[..8].copy_from_slice(&[libc::AF_INET as u8, prefix, 0, 0, table, RTPROT_BOOT, scope, kind]);
    header
}

/// One attribute, padded to four bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn text(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn index_of(name: &str) -> io::Result<u32> {
    Ok(nix::net::if_::if_nametoindex(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_to_four_bytes_and_count_only_themselves() {
        let mut body = Vec::new();
        attribute(&mut body, IFLA_IFNAME, &text("eth0"));
        assert_eq!(body.len(), 12);
        assert_eq!(u16::from_ne_bytes([body[0], body[1]]), 9);
    }

    #[test]
    fn an_acknowledgement_of_zero_is_success_and_a_negative_one_an_error() {
        let mut answer = vec![0; 20];
        answer[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        assert!(errno_of(&answer).is_ok());
        answer[16..20].copy_from_slice(&(-libc::EEXIST).to_ne_bytes());
        assert_eq!(errno_of(&answer).unwrap_err().raw_os_error(), Some(libc::EEXIST));
        assert!(errno_of(&answer[..10]).is_err());
    }
}
