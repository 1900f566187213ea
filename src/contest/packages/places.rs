//! Where packages bring their files, and whether two cannot be laid out in one directory.

use std::collections::{HashMap, HashSet};

use crate::submission::unpack::above;

/// The files of some packages, which do not meet each other, and the directories on the way to them: each
/// with the number of a package that brings it.
#[derive(Default)]
pub(super) struct Places<'a> {
    files: HashMap<&'a str, usize>,
    directories: HashMap<&'a str, usize>,
}

impl<'a> Places<'a> {
    /// Adds the files of a package under a number.
    pub(super) fn add(&mut self, package: usize, files: &'a [String]) {
        for file in files {
            self.files.insert(file, package);
            for directory in above(file) {
                // those above it are there too
                if self.directories.insert(directory, package).is_some() {
                    break;
                }
            }
        }
    }

    /// The first place where another package's files cannot be beside these: at a file of theirs, or where one
    /// has a file and the other a directory. With it, the number of the package that is there.
    pub(super) fn meets<'b>(&self, files: &'b [String]) -> Option<(&'b str, usize)> {
        let mut seen = HashSet::new();
        for file in files {
            let file = file.as_str();
            if let Some(package) = self.files.get(file).or_else(|| self.directories.get(file)) {
                return Some((file, *package));
            }
            for directory in above(file).take_while(|directory| seen.insert(*directory)) {
                if let Some(package) = self.files.get(directory) {
                    return Some((directory, *package));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_meet_at_one_place_and_where_one_is_the_others_directory() {
        let owned = |files: &[&str]| files.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>();
        let meets = |there: &[&[&str]], one: &[&str]| {
            let there: Vec<_> = there.iter().map(|files| owned(files)).collect();
            let mut places = Places::default();
            for (number, files) in there.iter().enumerate() {
                places.add(number, files);
            }
            places.meets(&owned(one)).map(|(place, number)| (place.to_owned(), number))
        };
        assert_eq!(meets(&[&["a/z.py", "b.py"]], &["a/x.py", "a/y.py"]), None, "a directory may be shared");
        assert_eq!(meets(&[&["b.py"], &["a/x.py"]], &["a/x.py"]).unwrap(), ("a/x.py".to_owned(), 1));
        assert_eq!(meets(&[&["a/b/x.py"]], &["c.py", "a"]).unwrap(), ("a".to_owned(), 0));
        assert_eq!(meets(&[&["a/b"], &["a/c"]], &["a/d", "a/b/x.py"]).unwrap(), ("a/b".to_owned(), 0));
        assert_eq!(meets(&[&["a/b/c/d"], &["a/b/e"]], &["a/b"]).unwrap().0, "a/b");
        assert_eq!(meets(&[], &["a"]), None);
    }
}
