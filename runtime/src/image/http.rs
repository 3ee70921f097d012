//! How images are asked for over HTTP: one agent, set up alike for mirrors and for registries.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ureq::Agent;
use ureq::config::{Config, RedirectAuthHeaders};
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// A server that does not answer within this is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence in the middle of a download. A slow network sends something; a dead one does not.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);

/// A registry sends us to where its blobs are, which may be a store behind a gate: two. More is a loop.
const REDIRECTS_MAX: u32 = 5;

/// `proxy`: where requests go instead of to the server itself. The environment is not asked. `None`: it is no address.
pub fn agent(proxy: Option<&str>) -> Option<Agent> {
    let proxy = match proxy {
        Some(address) => Some(ureq::Proxy::new(address).ok()?),
        None => None,
    };
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        // The system's own certificates: a school's inspecting proxy is known to the system.
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = Agent::config_builder()
        .proxy(proxy)
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(REDIRECTS_MAX)
        // A login for one server is nothing for another.
        .redirect_auth_headers(RedirectAuthHeaders::Never)
        .user_agent("quayside")
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(SILENCE_TIMEOUT))
        .timeout_per_read(Some(SILENCE_TIMEOUT))
        .timeout_per_write(Some(SILENCE_TIMEOUT))
        .build();
    Some(Agent::with_parts(config, DefaultConnector::default(), Addresses::default()))
}

/// Addresses of servers, looked up once for each.
///
/// ureq asks for the address anew with every request, also when it then takes a connection that is open. Two hundred
/// packages are two hundred questions, and a name server that drops one makes everybody wait five seconds for it.
#[derive(Debug, Default)]
struct Addresses {
    ask: DefaultResolver,
    /// Held while asking, so that four threads ask once between them.
    known: Mutex<HashMap<String, Vec<SocketAddr>>>,
}

impl Resolver for Addresses {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let server = format!("{:?} {:?}", uri.scheme_str(), uri.authority());
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(addresses) = known.get(&server) {
            let mut found = self.empty();
            addresses.iter().for_each(|address| found.push(*address));
            return Ok(found);
        }
        let found = self.ask.resolve(uri, config, timeout)?;
        known.insert(server, found.to_vec());
        Ok(found)
    }
}
