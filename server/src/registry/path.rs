//! What an address of the distribution specification means, and which part of a blob a request wants.

use std::ops::Range;

/// The specification's "end-points".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// `/v2/`
    Base,
    Catalog,
    Tags {
        repository: String,
    },
    /// `reference` is a tag or a digest.
    Manifest {
        repository: String,
        reference: String,
    },
    Blob {
        repository: String,
        digest: String,
    },
    Uploads {
        repository: String,
    },
    Upload {
        repository: String,
        id: String,
    },
}

impl Path {
    /// `path` without its query.
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v2")?;
        match rest {
            "" | "/" => return Some(Self::Base),
            "/_catalog" => return Some(Self::Catalog),
            _ => {}
        }
        let rest = rest.strip_prefix('/')?;
        let own = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        // The last part that looks like a verb is one: a repository may be called `blobs`.
        if let Some(repository) = rest.strip_suffix("/tags/list") {
            return Some(Self::Tags { repository: own(repository)? });
        }
        if let Some(repository) = rest.strip_suffix("/blobs/uploads").or_else(|| rest.strip_suffix("/blobs/uploads/")) {
            return Some(Self::Uploads { repository: own(repository)? });
        }
        let (before, last) = rest.rsplit_once('/')?;
        let last = own(last)?;
        if let Some(repository) = before.strip_suffix("/blobs/uploads") {
            return Some(Self::Upload { repository: own(repository)?, id: last });
        }
        if let Some(repository) = before.strip_suffix("/manifests") {
            return Some(Self::Manifest { repository: own(repository)?, reference: last });
        }
        let repository = own(before.strip_suffix("/blobs")?)?;
        Some(Self::Blob { repository, digest: last })
    }
}

/// A name as a part of a query. Tags and repositories have but one character that means something there.
pub fn encoded(name: &str) -> String {
    name.replace('/', "%2F")
}

/// The value of `name` in a query; digests and repositories need no more than `%3A` and `%2F` undone.
pub fn query(query: Option<&str>, name: &str) -> Option<String> {
    let pair = query?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(pair.replace("%3A", ":").replace("%3a", ":").replace("%2F", "/").replace("%2f", "/"))
}

/// Which bytes of `size` a Range header wants (RFC 9110, section 14.1.2). `None`: all, as for several ranges at once.
/// `Some(Err(()))`: there are none of them.
pub fn range(header: Option<&str>, size: u64) -> Option<Result<Range<u64>, ()>> {
    let (first, last) = header?.strip_prefix("bytes=")?.split_once('-')?;
    let wanted = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..size.min(last.saturating_add(1)),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(count)) if first.is_empty() => size.saturating_sub(count)..size,
        _ => return None,
    };
    Some(if wanted.start < wanted.end { Ok(wanted) } else { Err(()) })
}

/// Where a chunk begins: `Content-Range: 0-99`, with or without a unit.
pub fn chunk_start(header: &str) -> Option<u64> {
    header.trim().trim_start_matches("bytes").trim_start_matches(['=', ' ']).split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_their_end() {
        let manifest = |repository: &str, reference: &str| {
            Some(Path::Manifest { repository: repository.into(), reference: reference.into() })
        };
        assert_eq!(Path::parse("/v2/"), Some(Path::Base));
        assert_eq!(Path::parse("/v2/golang/manifests/1.20"), manifest("golang", "1.20"));
        assert_eq!(Path::parse("/v2/library/golang/manifests/sha256:ab"), manifest("library/golang", "sha256:ab"));
        assert_eq!(Path::parse("/v2/blobs/manifests/x"), manifest("blobs", "x"));
        assert_eq!(Path::parse("/v2/a/b/tags/list"), Some(Path::Tags { repository: "a/b".into() }));
        assert_eq!(Path::parse("/v2/_catalog"), Some(Path::Catalog));
        for uploads in ["/v2/a/blobs/uploads/", "/v2/a/blobs/uploads"] {
            assert_eq!(Path::parse(uploads), Some(Path::Uploads { repository: "a".into() }));
        }
        let upload = Path::Upload { repository: "a".into(), id: "7".into() };
        assert_eq!(Path::parse("/v2/a/blobs/uploads/7"), Some(upload));
        for nothing in ["/", "/v1/", "/v2/a", "/v2/manifests/x", "/v2//manifests/x", "/v2/a/manifests/", "/v2x"] {
            assert_eq!(Path::parse(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        assert_eq!(range(Some("bytes=0-9"), 100), Some(Ok(0..10)));
        assert_eq!(range(Some("bytes=90-"), 100), Some(Ok(90..100)));
        assert_eq!(range(Some("bytes=90-900"), 100), Some(Ok(90..100)));
        assert_eq!(range(Some("bytes=-10"), 100), Some(Ok(90..100)));
        assert_eq!(range(Some("bytes=100-"), 100), Some(Err(())));
        for all in [None, Some("bytes=9-1"), Some("lines=1-2"), Some("bytes=1-2,4-5"), Some("bytes=a-b")] {
            assert_eq!(range(all, 100), None, "{all:?}");
        }
        assert_eq!((chunk_start("16-31"), chunk_start("bytes 16-31/40"), chunk_start("x")), (Some(16), Some(16), None));
    }

    #[test]
    fn queries_are_found_by_their_names() {
        assert_eq!(query(Some("a=b&digest=sha256%3Aff"), "digest").as_deref(), Some("sha256:ff"));
        assert_eq!(query(Some("from=a%2Fb&mount=x"), "from").as_deref(), Some("a/b"));
        assert_eq!(query(Some("digested=x"), "digest"), None);
    }
}
