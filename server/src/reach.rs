//! Under which addresses a class reaches the service: what its teacher reads out.
//!
//! A service that listens everywhere has an address on each network of its host, and `0.0.0.0` is none that can be
//! typed. What is decided here is which of them are worth saying, and in which order; nothing is sent to find out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// Named at most: a line that is read out. A host of many containers has dozens.
const NAMED_MAX: usize = 4;

/// Whose host it is that answers `NAME.local` (RFC 6762), where that is Debian's usual one.
const MDNS_SOCKET: &str = "/run/avahi-daemon/socket";

/// An address of no network (RFC 5737, TEST-NET-1): asking the way to it asks for the default route's.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// What a host is called, as far as its networks know.
#[derive(Debug, Clone, Default)]
struct Host {
    /// Of every interface that is up, the one that leads to other networks first.
    addresses: Vec<IpAddr>,
    /// That others on its network can look up.
    name: Option<String>,
}

/// The addresses of a service that listens on `listen`, without a path; never none.
pub fn origins(scheme: &str, listen: SocketAddr) -> Vec<String> {
    let host = if listen.ip().is_unspecified() { look() } else { Host::default() };
    named(scheme, listen, &host)
}

fn named(scheme: &str, listen: SocketAddr, host: &Host) -> Vec<String> {
    let origin = |name: &str| format!("{scheme}://{name}:{}", listen.port());
    if !listen.ip().is_unspecified() {
        return vec![format!("{scheme}://{listen}")];
    }
    let mut origins: Vec<String> = host.name.iter().map(|name| origin(&format!("{name}.local"))).collect();
    let is_heard = |address: &&IpAddr| listen.is_ipv6() || address.is_ipv4();
    for address in host.addresses.iter().filter(is_heard).filter(|address| can_be_typed(**address)) {
        let address = match address {
            IpAddr::V4(address) => origin(&address.to_string()),
            IpAddr::V6(address) => origin(&format!("[{address}]")),
        };
        if !origins.contains(&address) {
            origins.push(address);
        }
    }
    if origins.is_empty() {
        origins.push(origin("localhost"));
    }
    origins.truncate(NAMED_MAX);
    origins
}

/// By somebody at another machine. An address of a link alone needs the name of an interface behind it.
fn can_be_typed(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    }
}

/// What cannot be found out is not there.
fn look() -> Host {
    let up = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
    let interfaces = getifaddrs().into_iter().flatten().filter(|interface| interface.flags.contains(up));
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    let mut all: Vec<IpAddr> = outward().into_iter().chain(addresses).collect();
    all.sort_by_key(|address| (Some(*address) != outward(), address.is_ipv6()));
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let name = name.filter(|_| Path::new(MDNS_SOCKET).exists());
    Host { addresses: all, name: name.and_then(|name| Some(name.split('.').next()?.to_owned())) }
}

/// The address that packets to other networks leave from; none is sent.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(ELSEWHERE).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(addresses: &[&str], name: Option<&str>) -> Host {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        Host { addresses, name: name.map(str::to_owned) }
    }

    fn of(listen: &str, host: &Host) -> Vec<String> {
        named("http", listen.parse().expect("an address"), host)
    }

    #[test]
    fn a_service_that_listens_everywhere_names_what_a_class_can_type() {
        let host = host(&["192.168.1.20", "127.0.0.1", "169.254.7.7", "fe80::1", "2001:db8::5"], Some("classroom"));
        assert_eq!(of("0.0.0.0:8080", &host), ["http://classroom.local:8080", "http://192.168.1.20:8080"]);
        assert_eq!(of("[::]:80", &host)[2], "http://[2001:db8::5]:80", "also the addresses of IPv6, where it has them");
    }

    #[test]
    fn a_service_that_was_told_its_address_names_that() {
        assert_eq!(of("127.0.0.1:8080", &host(&["192.168.1.20"], Some("x"))), ["http://127.0.0.1:8080"]);
        assert_eq!(of("[::1]:8080", &Host::default()), ["http://[::1]:8080"]);
    }

    #[test]
    fn there_is_always_one_and_never_a_crowd() {
        assert_eq!(of("0.0.0.0:8080", &Host::default()), ["http://localhost:8080"]);
        let many: Vec<String> = (1..=40).map(|number| format!("10.0.0.{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(of("0.0.0.0:8080", &host(&many, None)).len(), NAMED_MAX);
        assert_eq!(of("0.0.0.0:8080", &host(&["10.0.0.1", "10.0.0.1"], None)).len(), 1, "each once");
    }
}
