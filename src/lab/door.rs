//! Where browsers reach the sandboxes that a worker holds.

use crate::config::Settings;
use crate::ids::SandboxId;

/// Stands for the sandbox in the origins of a worker that gives each its own.
const ID: &str = "{id}";

/// Where browsers reach a worker's sandboxes: each at an origin of its own, `https://{id}.box.example`,
/// or, on a network without names and TLS, all at one: `http://10.0.0.5:8081`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door(String);

impl Door {
    /// As a worker's row has it; `None` for one that has none.
    pub fn read(pattern: &str) -> Option<Self> {
        (!pattern.is_empty()).then(|| Self(pattern.to_owned()))
    }

    /// Where this process's sandboxes are reached; `None` where nobody said.
    pub fn of(settings: &Settings) -> Option<Self> {
        let sandboxes = &settings.sandboxes;
        if sandboxes.lan_listen.is_some() {
            return Self::read(&sandboxes.lan_url);
        }
        let scheme = if settings.is_https() { "https" } else { "http" };
        (!sandboxes.host.is_empty()).then(|| Self(format!("{scheme}://{}", sandboxes.host)))
    }

    /// As a worker's row has it.
    pub fn pattern(&self) -> &str {
        &self.0
    }

    /// Whether all sandboxes share one origin, so that a visit's cookie says which one is meant.
    pub fn is_shared(&self) -> bool {
        !self.0.contains(ID)
    }

    /// Whether it is reached with TLS.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether others on the network can read along: there is no TLS, and it is not on this machine.
    pub fn can_be_overheard(&self) -> bool {
        let host = self.host().rsplit_once(':').map_or(self.host(), |(host, _)| host);
        self.is_shared() || !(self.is_https() || host.ends_with(".localhost"))
    }

    /// The origin at which a sandbox is reached.
    pub fn origin(&self, id: SandboxId) -> String {
        self.0.replace(ID, &id.to_string())
    }

    /// The address that a ticket opens a sandbox at, once.
    pub fn entrance(&self, id: SandboxId, ticket: &str) -> String {
        match self.is_shared() {
            true => format!("{}/shuyu/enter/{id}?ticket={ticket}", self.0),
            false => format!("{}/shuyu/enter?ticket={ticket}", self.origin(id)),
        }
    }

    /// Every origin behind it, as a page's policy (CSP) names them.
    pub fn source(&self) -> String {
        self.0.replace(ID, "*")
    }

    /// The sandbox whose own origin has this host (and port), if it is one of these.
    pub fn sandbox_at(&self, host: &str) -> Option<SandboxId> {
        let (before, after) = self.host().split_once(ID)?;
        host.to_ascii_lowercase().strip_prefix(before)?.strip_suffix(after)?.parse().ok()
    }

    /// Whether this host (and port) is that of the origin they share.
    pub fn is_at(&self, host: &str) -> bool {
        self.is_shared() && self.host().eq_ignore_ascii_case(host)
    }

    fn host(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, host)| host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> SandboxId {
        "0198c0de-0000-7000-8000-000000000001".parse().unwrap()
    }

    #[test]
    fn each_sandbox_has_an_origin_or_all_share_one() {
        let id = id();
        let own = Door::read("https://{id}.box.example").unwrap();
        assert!(!own.is_shared() && own.is_https() && !own.can_be_overheard());
        assert_eq!(own.origin(id), format!("https://{id}.box.example"));
        assert_eq!(own.entrance(id, "t"), format!("https://{id}.box.example/shuyu/enter?ticket=t"));
        assert_eq!(own.source(), "https://*.box.example");
        assert_eq!(own.sandbox_at(&format!("{id}.BOX.example")), Some(id));
        for other in ["box.example", "x.box.example", "data.example"] {
            assert_eq!(own.sandbox_at(other), None, "{other}");
        }
        let shared = Door::read("http://10.0.0.5:8081").unwrap();
        assert!(shared.is_shared() && shared.can_be_overheard());
        assert_eq!(shared.origin(id), "http://10.0.0.5:8081");
        assert_eq!(shared.entrance(id, "t"), format!("http://10.0.0.5:8081/shuyu/enter/{id}?ticket=t"));
        assert_eq!((shared.source(), shared.sandbox_at("10.0.0.5:8081")), (shared.origin(id), None));
        assert!(shared.is_at("10.0.0.5:8081") && !shared.is_at("10.0.0.5:8080") && !own.is_at("box.example"));
        assert!(Door::read("http://{id}.box.lan").unwrap().can_be_overheard());
        assert!(!Door::read("http://{id}.localhost:8080").unwrap().can_be_overheard());
        assert_eq!(Door::read(""), None);
    }
}
