//! Graphics processors, where the operator lends them to the containers of competitions that they trust.

use bollard::models::DeviceRequest;

/// The graphics processors of this machine that a container may use: NVIDIA's, which its container
/// toolkit puts into the container when the engine is asked for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gpus {
    /// Every one.
    All,
    /// Those of these indices or ids, as `nvidia-smi -L` lists them.
    These(Vec<String>),
}

impl Gpus {
    /// Reads `all`, or indices and ids with commas between them; `None` for an empty text.
    ///
    /// # Errors
    /// How to write it, where it is neither.
    pub fn read(text: &str) -> Result<Option<Self>, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if text == "all" {
            return Ok(Some(Self::All));
        }
        let named: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        let plain = |name: &String| {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '/'))
        };
        match named.iter().all(plain) {
            true => Ok(Some(Self::These(named))),
            false => Err("give all, or the indices or ids that nvidia-smi -L lists, as 0,1"),
        }
    }

    /// What the engine is asked for.
    pub(super) fn request(&self) -> DeviceRequest {
        let (count, device_ids) = match self {
            Self::All => (Some(-1), None),
            Self::These(ids) => (None, Some(ids.clone())),
        };
        DeviceRequest {
            driver: Some("nvidia".to_owned()),
            count,
            device_ids,
            capabilities: Some(vec![vec!["gpu".to_owned()]]),
            options: None,
        }
    }
}

/// Whose containers get graphics processors, and which.
#[derive(Clone, Debug, Default)]
pub struct GpuGrants {
    gpus: Option<Gpus>,
    competitions: Vec<String>,
}

impl GpuGrants {
    /// These, for the competitions of these slugs.
    pub fn new(gpus: Option<Gpus>, competitions: &[String]) -> Self {
        Self { gpus, competitions: competitions.to_vec() }
    }

    /// What a competition's containers get.
    pub fn of(&self, slug: &str) -> Option<Gpus> {
        self.gpus.clone().filter(|_| self.competitions.iter().any(|trusted| trusted == slug))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use bollard::models::HostConfig;

    use super::*;
    use crate::clock::{Clock, Entropy};
    use crate::sandbox::profile::{Place, run_container};
    use crate::sandbox::warm::Kind;
    use crate::sandbox::{OutputSpec, Profile, RunLabel, RunSpec, Step};

    #[test]
    fn they_are_read_and_lent_to_trusted_competitions_alone() {
        assert_eq!(Gpus::read(" "), Ok(None));
        assert_eq!(Gpus::read("all"), Ok(Some(Gpus::All)));
        let two = Gpus::These(vec!["0".to_owned(), "GPU-1a".to_owned()]);
        assert_eq!(Gpus::read("0, GPU-1a"), Ok(Some(two.clone())));
        for wrong in ["0,,1", "0;1", "every one"] {
            assert!(Gpus::read(wrong).is_err(), "{wrong}");
        }
        let grants = GpuGrants::new(Some(two.clone()), &["vision".to_owned()]);
        assert_eq!((grants.of("vision"), grants.of("visions")), (Some(two), None));
        assert_eq!(GpuGrants::default().of("vision"), None);
        assert_eq!(GpuGrants::new(None, &["vision".to_owned()]).of("vision"), None);
    }

    #[test]
    fn the_engine_is_asked_for_all_or_for_some() {
        let all = Gpus::All.request();
        assert_eq!((all.count, all.device_ids), (Some(-1), None));
        let some = Gpus::These(vec!["1".to_owned()]).request();
        assert_eq!((some.count, some.device_ids), (None, Some(vec!["1".to_owned()])));
        assert_eq!(some.driver.as_deref(), Some("nvidia"));
        assert_eq!(some.capabilities, Some(vec![vec!["gpu".to_owned()]]));
    }

    fn run(gpus: Option<Gpus>) -> RunSpec {
        let profile = Profile::Submission;
        let clock = Clock::system();
        RunSpec {
            profile,
            label: RunLabel { run: Entropy.id(&clock), attempt: 1, step: Step::Prediction },
            image: "image".to_owned(),
            command: vec!["true".to_owned()],
            workdir: "/app".to_owned(),
            env: Vec::new(),
            binds: Vec::new(),
            output: OutputSpec { container: "/app/output".to_owned(), bytes: 1, inodes: 1, seed: None },
            shared: None,
            relay: None,
            resources: profile.default_resources(),
            gpus,
            wall_clock: Duration::from_secs(1),
            silent_limit: None,
            log_cap: 1,
            log_sink: None,
        }
    }

    /// The bodies of the engine's create call.
    #[test]
    fn a_container_gets_what_it_was_lent_and_nothing_else_changes() {
        let body = |gpus: Option<Gpus>| {
            let place = Place { labels: HashMap::new(), cgroup_parent: "g", runtime: "runc", cpus: 2.0 };
            run_container(&run(gpus), "/o".to_owned(), place).host_config.unwrap()
        };
        let (none, all) = (body(None), body(Some(Gpus::All)));
        assert_eq!((none.device_requests.as_ref(), none.devices.as_ref()), (None, None));
        assert_eq!(all.device_requests, Some(vec![Gpus::All.request()]));
        assert_eq!(HostConfig { device_requests: None, ..all }, none, "it is held like any other");
        assert!(Kind::of(&run(None), String::new()).is_some());
        assert_eq!(
            Kind::of(&run(Some(Gpus::All)), String::new()),
            None,
            "none waits with graphics processors in its hands"
        );
    }
}
