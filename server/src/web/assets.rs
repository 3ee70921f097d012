//! What pages load: scripts, styles, fonts and the icon, built by `npm run build` and embedded in the binary.
//!
//! Every name carries a hash of its content, so a browser may keep it for ever, and an upgrade needs no
//! cache to be emptied. `manifest.json` of the build maps plain names (`workspace.js`) to hashed ones.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::sync::{LazyLock, OnceLock};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;
use serde::Deserialize;

/// Where the router mounts [`serve`], below the base path.
pub const PREFIX: &str = "assets/";

/// The path of an asset below the base path: `assets/workspace-3F2A91C0.js` for `workspace.js`.
///
/// # Panics
/// If the build made no such file: a template names an asset that does not exist.
pub fn path(name: &str) -> String {
    format!("{PREFIX}{}", built(name).path)
}

/// The paths of the chunks that a script imports at once, so that a page can load them side by side.
///
/// # Panics
/// As [`path`].
pub fn imports(name: &str) -> Vec<String> {
    built(name).imports.iter().map(|chunk| format!("{PREFIX}{chunk}")).collect()
}

/// Answers `GET /assets/NAME` with what was built under this hashed name.
pub fn serve(name: &str, request: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.get(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    respond(asset, "public, max-age=31536000, immutable", request)
}

/// Answers `GET /favicon.svg`, the one asset whose name browsers know without a page.
pub fn favicon(request: &HeaderMap) -> Response {
    let asset = &ASSETS[&built("favicon.svg").path];
    respond(asset, "public, max-age=86400", request)
}

fn respond(asset: &Asset, cache_control: &'static str, request: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::ETAG, asset.etag.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if lists(request, header::IF_NONE_MATCH, &asset.etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let body = match asset.gzip() {
        Some(gzip) if accepts_gzip(request) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            gzip.clone()
        }
        _ => asset.bytes.clone(),
    };
    *response.body_mut() = Body::from(body);
    response
}

/// The output of the front-end build.
#[derive(RustEmbed)]
#[folder = "../web/dist"]
struct Dist;

/// One line of `manifest.json`.
#[derive(Deserialize)]
struct Built {
    path: String,
    imports: Vec<String>,
}

struct Asset {
    bytes: Bytes,
    content_type: &'static str,
    etag: HeaderValue,
    gzip: OnceLock<Option<Bytes>>,
}

impl Asset {
    fn new(name: &str, bytes: Cow<'static, [u8]>, sha256: [u8; 32]) -> Self {
        let bytes = match bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        let tag: String = sha256[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::from_str(&format!("\"{tag}\"")).expect("hexadecimal digits are a header's characters");
        Self { bytes, content_type: content_type(name), etag, gzip: OnceLock::new() }
    }

    /// The compressed form, made when it is first asked for (the largest takes about 20 ms, once in the
    /// life of the process), and only where it is smaller.
    fn gzip(&self) -> Option<&Bytes> {
        self.gzip.get_or_init(|| compress(&self.bytes).filter(|gzip| gzip.len() < self.bytes.len())).as_ref()
    }
}

static MANIFEST: LazyLock<HashMap<String, Built>> = LazyLock::new(|| {
    let file = Dist::get("manifest.json").expect("build.rs refuses to build without it");
    serde_json::from_slice(&file.data).expect("the build writes it as this type")
});

static ASSETS: LazyLock<HashMap<String, Asset>> = LazyLock::new(|| {
    let files = Dist::iter().filter_map(|name| Some((name.clone(), Dist::get(&name)?)));
    files
        .filter(|(name, _)| name != "manifest.json")
        .map(|(name, file)| {
            let asset = Asset::new(&name, file.data, file.metadata.sha256_hash());
            (name.into_owned(), asset)
        })
        .collect()
});

fn built(name: &str) -> &'static Built {
    MANIFEST.get(name).unwrap_or_else(|| panic!("no asset {name} was built; see web/build.mjs"))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn compress(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

fn lists(request: &HeaderMap, header: header::HeaderName, etag: &HeaderValue) -> bool {
    let etag = etag.to_str().unwrap_or_default();
    request.get_all(header).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|listed| listed == "*" || listed.trim_start_matches("W/") == etag)
    })
}

fn accepts_gzip(request: &HeaderMap) -> bool {
    request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim().eq_ignore_ascii_case("gzip") && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(header: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header, HeaderValue::from_str(value).unwrap())])
    }

    fn script() -> String {
        path("workspace.js").strip_prefix(PREFIX).unwrap().to_owned()
    }

    #[test]
    fn a_hashed_name_is_served_for_ever_with_its_type() {
        let response = serve(&script(), &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
    }

    #[test]
    fn a_browser_that_takes_gzip_gets_it() {
        let response = serve(&script(), &asking(header::ACCEPT_ENCODING, "br, gzip;q=0.8"));
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        let response = serve(&script(), &asking(header::ACCEPT_ENCODING, "gzip;q=0, br"));
        assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
    }

    #[test]
    fn a_browser_that_has_the_file_is_told_so() {
        let etag = serve(&script(), &HeaderMap::new()).headers()[header::ETAG].to_str().unwrap().to_owned();
        let response = serve(&script(), &asking(header::IF_NONE_MATCH, &format!("\"other\", W/{etag}")));
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn neither_the_manifest_nor_a_path_is_an_asset() {
        for name in ["manifest.json", "../Cargo.toml", "", "workspace.js"] {
            assert_eq!(serve(name, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{name}");
        }
    }
}
