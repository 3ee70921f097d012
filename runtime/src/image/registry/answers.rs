//! Whether a registry can be reached at all, before anybody waits for it.

use std::time::{Duration, Instant};

use super::super::http;
use super::super::reference::Reference;
use super::Access;
use super::place::to_pull_from;

/// Whether one of the servers that have the image answers within `patience`, whatever it says: a login is asked for later.
pub fn answers(access: &Access, name: &Reference, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    to_pull_from(name, &access.mirrors, access.insecure).iter().any(|place| {
        let left = until.saturating_duration_since(Instant::now());
        let proxy = access.proxy.as_deref().filter(|_| !place.server.is_loopback());
        let Some(agent) = http::agent(proxy).filter(|_| !left.is_zero()) else { return false };
        agent.get(format!("{}/v2/", place.server.base())).config().timeout_global(Some(left)).build().call().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn ask(listener: &TcpListener) -> (bool, Duration) {
        let name = format!("{}/app", listener.local_addr().unwrap()).parse().unwrap();
        let began = Instant::now();
        (answers(&Access::default(), &name, Duration::from_millis(500)), began.elapsed())
    }

    #[test]
    fn a_server_that_says_anything_answers_and_a_silent_one_is_not_waited_for() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let (answered, took) = ask(&silent);
        assert!(!answered && took < Duration::from_secs(5), "{took:?}");

        let strict = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = strict.try_clone().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        assert!(ask(&strict).0);
    }
}
