//! What the name of a wheel's file says: project, version, and what it runs on (the binary distribution
//! format, packaging.python.org/specifications, "File name convention"; tags as of PEP 425).

use super::wheel::WheelError;

/// The Python of the sandbox image, such as `3.11`.
const IMAGE_PYTHON: &str = include_str!("../../../sandbox-images/python/python-version");
/// The newest minor version of glibc's major version 2 that the image has (Debian 12).
const GLIBC_MINOR: u32 = 36;

/// A wheel's file name in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileName {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) tags: Vec<Tag>,
}

/// One combination that a wheel is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag {
    python: String,
    abi: String,
    platform: String,
}

/// A project's name as indexes compare it (PEP 503).
pub(crate) fn normalized(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}

/// Versions are compared as they are escaped in file names.
pub(super) fn same_version(one: &str, other: &str) -> bool {
    let escaped = |version: &str| version.trim().to_lowercase().replace(['-', '_'], "_");
    escaped(one) == escaped(other)
}

/// The minor version of the image's Python.
pub(super) fn python_minor() -> u32 {
    IMAGE_PYTHON.trim().rsplit('.').next().and_then(|minor| minor.parse().ok()).unwrap_or(11)
}

/// Python's name for this machine's processor.
pub(super) fn machine() -> &'static str {
    std::env::consts::ARCH
}

impl FileName {
    pub(super) fn parse(file_name: &str) -> Result<Self, WheelError> {
        let bad = || WheelError::FileName { file: file_name.chars().take(120).collect() };
        let stem = file_name.strip_suffix(".whl").ok_or_else(bad)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '!');
        let parts: Vec<&str> = stem.split('-').collect();
        if file_name.len() > 200 || parts.iter().any(|part| part.is_empty() || !part.chars().all(plain)) {
            return Err(bad());
        }
        let (name, version, tags) = match parts[..] {
            [name, version, python, abi, platform] => (name, version, [python, abi, platform]),
            [name, version, build, python, abi, platform]
                if build.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                (name, version, [python, abi, platform])
            }
            _ => return Err(bad()),
        };
        let ends_plain = |c: char| c.is_ascii_alphanumeric();
        if !version.starts_with(ends_plain) || !name.starts_with(ends_plain) || !name.ends_with(ends_plain) {
            return Err(bad());
        }
        Ok(Self { name: normalized(name), version: version.to_owned(), tags: Tag::all(tags) })
    }
}

impl Tag {
    /// Every combination of a compressed set.
    fn all([pythons, abis, platforms]: [&str; 3]) -> Vec<Self> {
        let mut all = Vec::new();
        for python in pythons.split('.') {
            for abi in abis.split('.') {
                for platform in platforms.split('.') {
                    all.push(Self {
                        python: python.to_owned(),
                        abi: abi.to_owned(),
                        platform: platform.to_owned(),
                    });
                }
            }
        }
        all
    }

    /// The combinations in a `Tag` line of the file `WHEEL`.
    pub(super) fn of_line(line: &str) -> Vec<Self> {
        match line.trim().split('-').collect::<Vec<_>>()[..] {
            [python, abi, platform] => Self::all([python, abi, platform]),
            _ => Vec::new(),
        }
    }

    /// Whether the image's Python takes it, on a machine of this processor.
    pub(super) fn fits(&self, machine: &str) -> bool {
        let minor = python_minor();
        let of = |prefix: &str| self.python.strip_prefix(prefix).and_then(|rest| rest.parse::<u32>().ok());
        let exactly = of("cp3") == Some(minor);
        let python = match self.abi.as_str() {
            "none" => self.python == "py3" || of("py3").is_some_and(|wanted| wanted <= minor) || exactly,
            "abi3" => of("cp3").is_some_and(|wanted| wanted <= minor),
            abi => exactly && abi == self.python,
        };
        python && (self.platform == "any" && self.abi == "none" || runs_here(&self.platform, machine))
    }
}

/// Whether a platform is this machine's, with the image's glibc (PEP 600 and those before it).
fn runs_here(platform: &str, machine: &str) -> bool {
    let Some(kind) = platform.strip_suffix(machine).and_then(|rest| rest.strip_suffix('_')) else {
        return false;
    };
    match kind {
        "linux" | "manylinux1" | "manylinux2010" | "manylinux2014" => true,
        kind => {
            let minor = kind.strip_prefix("manylinux_2_").and_then(|minor| minor.parse::<u32>().ok());
            minor.is_some_and(|minor| minor <= GLIBC_MINOR)
        }
    }
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.python, self.abi, self.platform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(name: &str) -> bool {
        FileName::parse(name).unwrap().tags.iter().any(|tag| tag.fits("x86_64"))
    }

    #[test]
    fn the_images_python_takes_what_pip_inside_it_would() {
        for good in [
            "six-1.17.0-py2.py3-none-any.whl",
            "a-1-py3-none-any.whl",
            "a-1-py38-none-any.whl",
            "a-1-1build-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "a-1-cp37-abi3-manylinux1_x86_64.whl",
            "a-1-py3-none-manylinux_2_36_x86_64.whl",
            "a-1-cp311-cp311-linux_x86_64.whl",
        ] {
            assert!(fits(good), "{good}");
        }
        for bad in [
            "a-1-py2-none-any.whl",
            "a-1-py312-none-any.whl",
            "a-1-cp312-cp312-manylinux_2_17_x86_64.whl",
            "a-1-cp312-abi3-manylinux_2_17_x86_64.whl",
            "a-1-cp311-cp311-manylinux_2_39_x86_64.whl",
            "a-1-cp311-cp311-musllinux_1_2_x86_64.whl",
            "a-1-cp311-cp311-manylinux_2_17_aarch64.whl",
            "a-1-cp311-cp311-win_amd64.whl",
            "a-1-cp311-cp311t-manylinux_2_17_x86_64.whl",
            "a-1-pp311-pypy311_pp73-manylinux_2_17_x86_64.whl",
        ] {
            assert!(!fits(bad), "{bad}");
        }
    }

    #[test]
    fn names_are_read_as_the_convention_writes_them() {
        let read = FileName::parse("Some_Thing.more-1.0+cu.1-py3-none-any.whl").unwrap();
        assert_eq!((read.name.as_str(), read.version.as_str()), ("some-thing-more", "1.0+cu.1"));
        assert!(same_version("1.0-Rc1", "1.0_rc1") && !same_version("1.0", "1.1"));
        for bad in [
            "",
            ".whl",
            "a.zip",
            "a-1.whl",
            "a-1-py3-none.whl",
            "../a-1-py3-none-any.whl",
            "a-1-x-py3-none-any.whl",
            "a-1-py3-none-any.WHL",
            "a b-1-py3-none-any.whl",
            "a--py3-none-any.whl",
            "_a-1-py3-none-any.whl",
            "a-1-1-1-py3-none-any.whl",
            "包-1-py3-none-any.whl",
        ] {
            assert!(FileName::parse(bad).is_err(), "{bad}");
        }
    }
}
