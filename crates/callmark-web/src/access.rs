//! Who asks, what they may do, and whether a request that changes something is meant by them.

use crate::app::App;
use crate::error::WebError;
use crate::options::Access;
use crate::reviews::{Role, Session, User};
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq as _;

/// Name of the cookie of a session. Its prefix is one that browsers hold to HTTPS, where there is that.
pub(crate) const COOKIE: &str = "callmark_session";
pub(crate) const SECURE_COOKIE: &str = "__Host-callmark_session";
/// Largest body of a request, in bytes.
pub(crate) const MOST_BODY_BYTES: usize = 256 << 10;
/// A body has to be there after this.
const BODY_WITHIN: Duration = Duration::from_secs(15);
/// Fields of a form.
const MOST_FIELDS: usize = 500;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) user: User,
    /// What a form has to bring back.
    pub(crate) csrf: String,
    /// Whether they have a session of their own.
    pub(crate) may_log_out: bool,
}

impl Caller {
    /// Fails where the caller's role is less than this.
    pub(crate) fn may(&self, role: Role) -> Result<(), WebError> {
        if self.user.role >= role {
            return Ok(());
        }
        Err(WebError::Forbidden(format!(
            "this takes the role {}; yours is {}",
            role.as_str(),
            self.user.role.as_str()
        )))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, WebError> {
        let by_secret = |name: &str| -> String {
            let digest = Sha256::digest(format!("{} {name}", app.secret).as_bytes());
            crate::text::hex(&digest)
        };
        match &app.options.access {
            Access::ThisMachine => {
                // A page elsewhere that gives this machine a name of its own must not read what is here.
                if !host(&parts.headers).is_some_and(is_this_machine) {
                    return Err(WebError::Forbidden("use http://127.0.0.1 or http://localhost".to_owned()));
                }
                let user = app.reviews.known_user("me", Some(Role::Admin)).await?;
                Ok(Self { csrf: by_secret(&user.name), user, may_log_out: false })
            }
            Access::Accounts => {
                let token = session_token(&parts.headers, app.options.https).ok_or(WebError::NotLoggedIn)?;
                let session = app.reviews.session(token).await?;
                let Session { user, csrf } = session.ok_or(WebError::NotLoggedIn)?;
                Ok(Self { user, csrf, may_log_out: true })
            }
            Access::Proxy { user_header, role_header } => {
                let peer = peer(parts);
                if !peer.is_some_and(|peer| app.options.proxies.contains(&peer)) {
                    return Err(WebError::Forbidden("come through the proxy".to_owned()));
                }
                let read = |name: &str| {
                    let mut values = parts.headers.get_all(name).iter();
                    let value = values.next().and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
                    // Two names are nobody's: one may be the caller's own invention.
                    value.map(str::trim).filter(|value| !value.is_empty() && values.next().is_none())
                };
                let name = read(user_header).ok_or_else(|| {
                    WebError::Forbidden("the proxy names no user, or more than one".to_owned())
                })?;
                let role = match role_header {
                    None => None,
                    Some(header) => Some(read(header).and_then(Role::parse).ok_or_else(|| {
                        WebError::Forbidden(
                            "the proxy names none of the roles viewer, reviewer, lead, admin".to_owned(),
                        )
                    })?),
                };
                let user = app.reviews.known_user(name, role).await?;
                if !user.active {
                    return Err(WebError::Forbidden("this account is closed".to_owned()));
                }
                Ok(Self { csrf: by_secret(&user.name), user, may_log_out: false })
            }
        }
    }
}

/// What an address names: a call, a dispute.
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        // Nothing has a name that is no text.
        let name = Path::<String>::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name)).map_err(|_| WebError::NotFound("thing"))
    }
}

/// The token of the session that the request's cookie names.
pub(crate) fn session_token(headers: &HeaderMap, https: bool) -> Option<&str> {
    let wanted = if https { SECURE_COOKIE } else { COOKIE };
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, token)| token)
}

pub(crate) fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical())
}

/// Who asks: the peer, or, where that is a proxy that is believed, whom it names last.
fn client(parts: &Parts, proxies: &[IpAddr]) -> Option<IpAddr> {
    let peer = peer(parts)?;
    if !proxies.contains(&peer) {
        return Some(peer);
    }
    let named =
        parts.headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    let last = named.and_then(|list| list.rsplit(',').next()).and_then(|address| address.trim().parse().ok());
    last.or(Some(peer))
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Fails where a browser says that another site made the request.
pub(crate) fn is_from_here(headers: &HeaderMap) -> Result<(), WebError> {
    let elsewhere = || Err(WebError::Forbidden("this request comes from another site".to_owned()));
    let site = headers.get("sec-fetch-site").map(axum::http::HeaderValue::as_bytes);
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        return elsewhere();
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        if origin.is_none() || origin != host(headers) {
            return elsewhere();
        }
    }
    Ok(())
}

async fn body(body: Body) -> Result<Bytes, WebError> {
    let limited = http_body_util::Limited::new(body, MOST_BODY_BYTES);
    match tokio::time::timeout(BODY_WITHIN, limited.collect()).await {
        Err(_) => Err(WebError::TooSlow),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => Err(WebError::TooLarge(MOST_BODY_BYTES)),
        Ok(Err(_)) => Err(WebError::BadRequest("the request broke off".to_owned())),
    }
}

/// Fields of a form, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(bytes: &[u8]) -> Result<Self, WebError> {
        let wrong = |reason: &str| WebError::BadRequest(format!("the form {reason}"));
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("is no text"))?;
        let mut fields = Vec::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if fields.len() == MOST_FIELDS {
                return Err(wrong("has too many fields"));
            }
            if value.contains('\0') {
                return Err(wrong("has a zero byte in it"));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    /// The value of a field, or nothing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// A value that is not empty.
    pub(crate) fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.trim().is_empty())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Fields whose name begins so, with the rest of the name.
    pub(crate) fn beginning<'a>(&'a self, with: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(with)?, value.as_str())))
    }
}

/// A form that its sender meant to send.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) caller: Caller,
    pub(crate) fields: Fields,
    /// Whether the page's script sent it, and wants a part of the page back.
    pub(crate) by_script: bool,
}

impl FromRequest<Arc<App>> for Posted {
    type Rejection = WebError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, WebError> {
        let (mut parts, content) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, app).await?;
        is_from_here(&parts.headers)?;
        let fields = Fields::parse(&body(content).await?)?;
        if !bool::from(fields.get("csrf").as_bytes().ct_eq(caller.csrf.as_bytes())) {
            return Err(WebError::Forbidden(
                "this form is too old: go back, load the page again, and send it again".to_owned(),
            ));
        }
        let by_script = parts.headers.get("x-requested-with").is_some_and(|by| by == "fetch");
        Ok(Self { caller, fields, by_script })
    }
}

/// A form of somebody who is not logged in yet.
pub(crate) struct LoginForm {
    pub(crate) fields: Fields,
    pub(crate) peer: Option<IpAddr>,
}

impl FromRequest<Arc<App>> for LoginForm {
    type Rejection = WebError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, WebError> {
        let (parts, content) = request.into_parts();
        is_from_here(&parts.headers)?;
        let peer = client(&parts, &app.options.proxies);
        Ok(Self { fields: Fields::parse(&body(content).await?)?, peer })
    }
}

/// JSON that its sender meant to send. A page of another site cannot send this type without being asked first.
#[derive(Debug, Clone)]
pub(crate) struct PostedJson<T> {
    pub(crate) caller: Caller,
    pub(crate) value: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for PostedJson<T> {
    type Rejection = WebError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, WebError> {
        let (mut parts, content) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, app).await?;
        is_from_here(&parts.headers)?;
        let kind =
            parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            return Err(WebError::NotJson);
        }
        let bytes = body(content).await?;
        let value =
            serde_json::from_slice(&bytes).map_err(|e| WebError::BadRequest(format!("the body: {e}")))?;
        Ok(Self { caller, value })
    }
}

/// How often somebody may try to log in: by name and address together, by address, and by name.
const TRIES: [usize; 3] = [5, 30, 100];
/// Within this time.
const WITHIN: Duration = Duration::from_mins(15);
/// Names and addresses that are remembered.
const MOST_REMEMBERED: usize = 30_000;

/// Failed logins.
#[derive(Debug, Default)]
pub(crate) struct LoginLimits(Mutex<HashMap<String, (usize, Instant)>>);

impl LoginLimits {
    /// Whether another try may be made now; how many seconds to wait where not.
    pub(crate) fn check(&self, name: &str, peer: Option<IpAddr>) -> Result<(), WebError> {
        let tries = self.lock();
        for (key, most) in keys(name, peer).iter().zip(TRIES) {
            if let Some((count, first)) = tries.get(key) {
                let left = WITHIN.saturating_sub(first.elapsed());
                if *count >= most && !left.is_zero() {
                    return Err(WebError::TooMany(left.as_secs() + 1));
                }
            }
        }
        Ok(())
    }

    /// Counts a try that failed.
    pub(crate) fn failed(&self, name: &str, peer: Option<IpAddr>) {
        let mut tries = self.lock();
        if tries.len() >= MOST_REMEMBERED {
            tries.retain(|_, (_, first)| first.elapsed() < WITHIN);
        }
        for key in keys(name, peer) {
            // Full of others: those that are there count on.
            if tries.len() >= MOST_REMEMBERED && !tries.contains_key(&key) {
                continue;
            }
            let (count, first) = tries.entry(key).or_insert((0, Instant::now()));
            if first.elapsed() >= WITHIN {
                (*count, *first) = (0, Instant::now());
            }
            *count += 1;
        }
    }

    /// Takes the try of who has logged in back, and forgets what they did wrong before.
    pub(crate) fn succeeded(&self, name: &str, peer: Option<IpAddr>) {
        let mut tries = self.lock();
        let [own, others @ ..] = keys(name, peer);
        tries.remove(&own);
        for key in others {
            if let Some((count, _)) = tries.get_mut(&key) {
                *count = count.saturating_sub(1);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (usize, Instant)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Names are kept as digests: what somebody typed may be their password.
fn keys(name: &str, peer: Option<IpAddr>) -> [String; 3] {
    let name = crate::text::hex(&Sha256::digest(name.as_bytes())[..8]);
    let peer = peer.map_or_else(String::new, |peer| peer.to_string());
    [format!("{name} {peer}"), format!("from {peer}"), format!("name {name}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_has_to_wait_and_nobody_else() {
        let limits = LoginLimits::default();
        let (here, there) = (Some(IpAddr::from([127, 0, 0, 1])), Some(IpAddr::from([10, 0, 0, 9])));
        for _ in 0..5 {
            limits.check("ann", here).unwrap();
            limits.failed("ann", here);
        }
        // A whole team logs in behind one proxy.
        for at in 0..200 {
            let name = format!("member {at}");
            limits.check(&name, here).unwrap();
            limits.failed(&name, here);
            limits.succeeded(&name, here);
        }
        assert!(matches!(limits.check("ann", here), Err(WebError::TooMany(seconds)) if seconds > 800));
        limits.check("ann", there).unwrap();
        limits.check("bo", here).unwrap();
        for at in 0..10_000 {
            limits.failed(&format!("guess {at}"), here);
        }
        assert!(limits.check("bo", here).is_err());
        limits.check("bo", there).unwrap();
        assert!(limits.lock().len() <= MOST_REMEMBERED);
    }

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for own in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:9"] {
            assert!(is_this_machine(own), "{own}");
        }
        for other in ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "10.0.0.1", ""] {
            assert!(!is_this_machine(other), "{other}");
        }
    }

    #[test]
    fn another_site_is_refused() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect::<HeaderMap>()
        };
        is_from_here(&headers(&[
            ("host", "a:1"),
            ("origin", "http://a:1"),
            ("sec-fetch-site", "same-origin"),
        ]))
        .unwrap();
        is_from_here(&headers(&[("host", "a:1")])).unwrap();
        for wrong in [
            &[("host", "a:1"), ("origin", "http://b:1")][..],
            &[("host", "a:1"), ("origin", "null")],
            &[("host", "a:1"), ("sec-fetch-site", "cross-site")],
            &[("host", "a:1"), ("sec-fetch-site", "same-site")],
        ] {
            assert!(is_from_here(&headers(wrong)).is_err(), "{wrong:?}");
        }
    }
}
