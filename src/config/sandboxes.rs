//! The settings of interactive sandboxes, and what follows from them for where browsers reach them.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Deserializer, Serialize};

use super::{ConfigError, text};
use crate::sandbox::{GpuGrants, Gpus};

/// Interactive sandboxes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sandboxes {
    /// `SHUYU_SANDBOXES__HOST`: the host name of a sandbox's own origin, with `{id}` in it, as
    /// `{id}.sandboxes.example.net`: a domain of its own, not below the pages'. Empty: `{id}.localhost`
    /// with the port of the public address, where that is on this machine; else there are none.
    pub host: String,
    /// `SHUYU_SANDBOXES__LISTEN`: address and port where sandboxes' own origins are served, and nothing
    /// else. `shuyu worker` holds sandboxes when it has one; `shuyu serve` serves them on its own port
    /// too. Empty: none.
    #[serde(deserialize_with = "address")]
    pub listen: Option<SocketAddr>,
    /// `SHUYU_SANDBOXES__LAN_LISTEN`: the same on a network without names and TLS, where all sandboxes
    /// share the origin of this port. Empty: none.
    #[serde(deserialize_with = "address")]
    pub lan_listen: Option<SocketAddr>,
    /// `SHUYU_SANDBOXES__LAN_URL`: the address of that port as browsers reach it. Empty: the public
    /// address with that port.
    pub lan_url: String,
    /// `SHUYU_SANDBOXES__GPUS`: graphics processors lent to the competitions below: `all`, or indices or
    /// ids as `0,1`. Empty: none.
    #[serde(deserialize_with = "text")]
    pub gpus: String,
    /// `SHUYU_SANDBOXES__GPU_COMPETITIONS`: the competitions, by slug, whose sandboxes and submissions may
    /// use them: only those whose participants are trusted.
    pub gpu_competitions: Vec<String>,
    /// `SHUYU_SANDBOXES__PLACES`: sandboxes that this process's worker holds at a time.
    pub places: u32,
    /// `SHUYU_SANDBOXES__SPARES`: labs kept started and paused for whoever opens a sandbox next, besides
    /// the places; each takes some 90 MiB of memory while it waits. 0: everybody waits for their own.
    pub spares: u32,
    /// `SHUYU_SANDBOXES__DEMOS`: submitted apps that run here at a time for people to try, besides the places.
    /// 0: none.
    pub demos: u32,
    /// `SHUYU_SANDBOXES__STOP_PAUSED_MINUTES`: a sandbox that nobody came back to for so long after it
    /// was paused is stopped.
    pub stop_paused_minutes: u32,
    /// `SHUYU_SANDBOXES__KEEP_HOMES_DAYS`: participants' homes are kept so many days after the
    /// competition's end, or after their owner was removed from it.
    pub keep_homes_days: u32,
}

impl Default for Sandboxes {
    fn default() -> Self {
        Self {
            host: String::new(),
            listen: None,
            lan_listen: None,
            lan_url: String::new(),
            gpus: String::new(),
            gpu_competitions: Vec::new(),
            places: 8,
            spares: 2,
            demos: 4,
            stop_paused_minutes: 120,
            keep_homes_days: 30,
        }
    }
}

impl Sandboxes {
    /// Which competitions' containers get graphics processors.
    pub fn gpu_grants(&self) -> GpuGrants {
        // what cannot be read was refused when the settings were
        GpuGrants::new(Gpus::read(&self.gpus).unwrap_or_default(), &self.gpu_competitions)
    }

    /// Where sandboxes' origins are served beside the pages.
    pub fn own_port(&self) -> Option<SocketAddr> {
        self.lan_listen.or(self.listen)
    }

    /// Fills in what follows from the public address.
    pub(super) fn fill(&mut self, public_url: &str) {
        if let Some(lan) = self.lan_listen {
            if self.lan_url.is_empty()
                && let Some(host) = plain_host(public_url)
            {
                // browsers leave out the port that plain HTTP has anyway
                let port = if lan.port() == 80 { String::new() } else { format!(":{}", lan.port()) };
                self.lan_url = format!("http://{host}{port}");
            }
        } else if self.host.is_empty()
            && let Some(port) = local_port(public_url)
        {
            let port = self.listen.map_or_else(|| port.to_owned(), |own| format!(":{}", own.port()));
            self.host = format!("{{id}}.localhost{port}");
        }
    }

    pub(super) fn check(&self, public_url: &str) -> Result<(), ConfigError> {
        let unusable = |name, value: &str, problem| {
            Err(ConfigError::Unusable { name, value: value.to_owned(), problem })
        };
        let host = &self.host;
        let names_one = host.strip_prefix("{id}.").is_some_and(|rest| !rest.contains(['{', '/']));
        if !host.is_empty() && !names_one {
            let problem = "give a host name that begins with {id}. , as {id}.sandboxes.example.net";
            return unusable("sandboxes.host", host, problem);
        }
        if let Err(problem) = Gpus::read(&self.gpus) {
            return unusable("sandboxes.gpus", &self.gpus, problem);
        }
        if let Some(own) = self.listen
            && self.lan_listen.is_none()
            && host.is_empty()
        {
            let problem = "say under which names browsers reach it: set sandboxes.host, as \
                           {id}.sandboxes.example.net, or use sandboxes.lan_listen";
            return unusable("sandboxes.listen", &own.to_string(), problem);
        }
        let Some(lan) = self.lan_listen else { return Ok(()) };
        if !host.is_empty() || self.listen.is_some() {
            let problem = "sandboxes have either names of their own or this port: leave out \
                           sandboxes.host and sandboxes.listen, or this";
            return unusable("sandboxes.lan_listen", &lan.to_string(), problem);
        }
        // a browser that knows the host by TLS alone takes no plain answer from it, whatever the port
        if public_url.starts_with("https://") {
            let problem =
                "the pages are served with TLS: give sandboxes a domain with sandboxes.host instead";
            return unusable("sandboxes.lan_listen", &lan.to_string(), problem);
        }
        let url = &self.lan_url;
        let host = url.strip_prefix("http://").unwrap_or_default();
        if host.is_empty() || host.contains(['/', '{']) || url == public_url {
            let problem = "give the address by which browsers reach sandboxes.lan_listen, as \
                           http://10.0.0.5:8081, without a slash at the end; it is not that of the pages";
            return unusable("sandboxes.lan_url", url, problem);
        }
        Ok(())
    }
}

/// An address and port, or nothing.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let written = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    written.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

/// The host of a plain address that a browser can be sent to.
fn plain_host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://")?;
    let host = rest.rfind(':').filter(|at| !rest[*at..].contains(']')).map_or(rest, |at| &rest[..at]);
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    (!host.is_empty() && !ip.is_ok_and(|ip| ip.is_unspecified())).then_some(host)
}

/// The port (with its colon; empty when there is none) of an address that is on this machine.
fn local_port(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://")?;
    let (host, port) = match rest.rfind(':').filter(|at| !rest[*at..].contains(']')) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let loopback = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    (host == "localhost" || loopback).then_some(port)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Settings;

    #[test]
    fn sandboxes_have_an_origin_of_their_own_on_this_machine() {
        for (url, host) in [
            ("http://127.0.0.1:8080", "{id}.localhost:8080"),
            ("http://[::1]:8080", "{id}.localhost:8080"),
            ("http://localhost", "{id}.localhost"),
            ("https://shuyu.example", ""),
            ("http://10.0.0.2:8080", ""),
        ] {
            let flags = BTreeMap::from([("public_url", url.to_owned())]);
            assert_eq!(Settings::load(None, &flags).unwrap().sandboxes.host, host, "{url}");
        }
        for host in ["box.example", "box-{id}.example", "{id}.{id}.example", "{id}.example/x"] {
            let flags = BTreeMap::from([("sandboxes.host", host.to_owned())]);
            assert!(Settings::load(None, &flags).unwrap_err().to_string().contains("{id}"), "{host}");
        }
        let flags = BTreeMap::from([("sandboxes.listen", "127.0.0.1:9000".to_owned())]);
        assert_eq!(Settings::load(None, &flags).unwrap().sandboxes.host, "{id}.localhost:9000");
    }

    #[test]
    fn on_a_network_without_names_sandboxes_have_a_port() {
        let load = |public: &str, lan: &str, more: &[(&'static str, &str)]| {
            let mut flags = BTreeMap::from([("sandboxes.lan_listen", lan.to_owned())]);
            flags.insert("public_url", public.to_owned());
            flags.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
            Settings::load(None, &flags).map_err(|error| error.to_string())
        };
        let (lan, port) = ("http://10.0.0.5:8080", "0.0.0.0:8081");
        let settings = load(lan, port, &[]).unwrap().sandboxes;
        assert_eq!((settings.lan_url.as_str(), settings.host.as_str()), ("http://10.0.0.5:8081", ""));
        assert_eq!(load("http://[fd00::5]", port, &[]).unwrap().sandboxes.lan_url, "http://[fd00::5]:8081");
        let named = [("sandboxes.lan_url", "http://box.lan:99")];
        assert_eq!(load(lan, port, &named).unwrap().sandboxes.lan_url, "http://box.lan:99");
        assert_eq!(load(lan, "", &[]).unwrap().sandboxes.lan_listen, None);
        for (public, more, said) in [
            ("http://0.0.0.0:8080", &[][..], "lan_url"),
            (lan, &[("sandboxes.lan_url", "http://10.0.0.5:8080")], "not that of the pages"),
            (lan, &[("sandboxes.lan_url", "https://10.0.0.5:8081")], "lan_url"),
            (lan, &[("sandboxes.lan_url", "http://10.0.0.5:8081/")], "without a slash"),
            (lan, &[("sandboxes.host", "{id}.box.example")], "either"),
            ("https://shuyu.example", &[], "with TLS"),
        ] {
            let refused = load(public, port, more).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
        assert!(load(lan, "8081", &[]).is_err());
    }

    #[test]
    fn graphics_processors_are_lent_by_name() {
        let flags = BTreeMap::from([("sandboxes.gpus", "0;1".to_owned())]);
        let refused = Settings::load(None, &flags).unwrap_err().to_string();
        assert!(refused.contains("sandboxes.gpus"), "{refused}");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("shuyu.toml");
        std::fs::write(&file, "[sandboxes]\ngpus = 0\ngpu_competitions = [\"vision\"]\n").unwrap();
        let grants = Settings::load(Some(&file), &BTreeMap::new()).unwrap().sandboxes.gpu_grants();
        assert_eq!(grants.of("vision"), Some(Gpus::These(vec!["0".to_owned()])));
        assert_eq!(grants.of("flights"), None);
    }
}
