//! Which local image stands for an image name in a bundle: nothing is ever pulled.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::SandboxError;

/// The image that ships with the product (`sandbox-images/python`).
pub const PYTHON_IMAGE: &str = "shuyu/python:latest";

/// Image names in bundles and the local images that stand for them. As text (the environment
/// variable `SHUYU_IMAGES`) it is `NAME=IMAGE,NAME=IMAGE`; in the configuration file a table.
/// What is given is added to the defaults, and wins over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageTable(BTreeMap<String, String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Text(String),
    Table(BTreeMap<String, String>),
}

impl Default for ImageTable {
    /// The names that public Codabench bundles use most, all on the Python image.
    fn default() -> Self {
        let names = [
            "python",
            "shuyu/python",
            "codalab/codalab-legacy",
            "codalab/codalab-legacy:gpu",
            "codalab/codalab-legacy:gpu310",
            "codalab/codalab-legacy:py3",
            "codalab/codalab-legacy:py37",
            "codalab/codalab-legacy:py39",
            "codalab/default-cpu",
            "codalab/default-gpu",
            "codalab/codalab-default",
            "codalab/competitions-v1-compute-worker",
            "continuumio/anaconda",
            "continuumio/anaconda3",
            "continuumio/miniconda3",
        ];
        Self(names.into_iter().map(|name| (name.to_owned(), PYTHON_IMAGE.to_owned())).collect())
    }
}

/// Reads the setting: the text `NAME=IMAGE,NAME=IMAGE`, or a table.
///
/// # Errors
/// When it is neither, or a pair has no `=`, with the pair.
pub fn image_names<'de, D: Deserializer<'de>>(setting: D) -> Result<BTreeMap<String, String>, D::Error> {
    match Given::deserialize(setting)? {
        Given::Text(text) => pairs(&text).map_err(D::Error::custom),
        Given::Table(table) => Ok(table),
    }
}

fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pair = |pair: &str| {
        pair.split_once('=')
            .map(|(name, image)| (name.trim().to_owned(), image.trim().to_owned()))
            .filter(|(name, image)| !name.is_empty() && !image.is_empty())
            .ok_or_else(|| format!("SHUYU_IMAGES: {pair:?} is not NAME=IMAGE"))
    };
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(pair).collect()
}

impl ImageTable {
    /// The defaults and what the configuration adds to them.
    pub fn with(table: BTreeMap<String, String>) -> Self {
        let mut all = Self::default();
        all.0.extend(table);
        all
    }

    /// The local image for a bundle's `docker_image`. `NAME`, `NAME:latest` and
    /// `docker.io/NAME` mean the same; `NAME:TAG` that is not in the table means `NAME`. A local image
    /// `shuyu/…` stands for itself, tag and all.
    ///
    /// # Errors
    /// [`SandboxError::ImageUnmapped`], which names the setting to change.
    pub fn local(&self, name: &str) -> Result<&str, SandboxError> {
        let plain = name.trim();
        let plain = plain.strip_prefix("docker.io/").unwrap_or(plain);
        let plain = plain.strip_suffix(":latest").unwrap_or(plain);
        self.0
            .get(plain)
            .or_else(|| self.0.get(name))
            .or_else(|| self.0.get(plain.split(':').next().unwrap_or(plain)))
            .map(String::as_str)
            .or_else(|| self.0.values().map(String::as_str).find(|image| *image == name))
            .ok_or_else(|| SandboxError::ImageUnmapped { image: name.to_owned() })
    }

    /// The names that bundles may use, each with its local image, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, image)| (name.as_str(), image.as_str()))
    }

    /// The local images that some name stands for, each once, in alphabetical order.
    pub fn local_images(&self) -> Vec<&str> {
        let mut images: Vec<&str> = self.0.values().map(String::as_str).collect();
        images.sort_unstable();
        images.dedup();
        images
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn common_names_are_the_python_image() {
        let table = ImageTable::default();
        for name in [
            "python",
            "shuyu/python",
            "shuyu/python:latest",
            "codalab/codalab-legacy",
            "codalab/codalab-legacy:latest",
            "docker.io/codalab/codalab-legacy:py37",
            "codalab/codalab-legacy:py39",
        ] {
            assert_eq!(table.local(name).expect(name), PYTHON_IMAGE);
        }
        assert_eq!(table.local_images(), [PYTHON_IMAGE]);
    }

    #[test]
    fn an_unmapped_name_names_the_setting() {
        let refused = ImageTable::default().local("nobody/knows:1").expect_err("it is in no table");
        let message = refused.to_string();
        assert!(message.contains("SHUYU_IMAGES=nobody/knows:1="), "{message}");
        assert!(message.contains("`images`"), "{message}");
    }

    #[test]
    fn the_settings_add_to_the_defaults_and_win() {
        let text = json!("r-base=shuyu/r:latest, python=shuyu/python:abc");
        let table = ImageTable::with(image_names(text).expect("well formed"));
        assert_eq!(table.local("r-base").expect("added"), "shuyu/r:latest");
        assert_eq!(table.local("python").expect("replaced"), "shuyu/python:abc");
        assert_eq!(table.local("codalab/codalab-legacy:py37").expect("kept"), PYTHON_IMAGE);
        assert!(image_names(json!("r-base")).is_err());
        let table = ImageTable::with(image_names(json!({"r-base": "shuyu/r:latest"})).expect("a table"));
        assert_eq!(table.local("shuyu/r:latest").expect("a local image"), "shuyu/r:latest");
    }
}
