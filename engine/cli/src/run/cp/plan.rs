//! From the names on the command line to pairs of a file and the place it is copied to.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use eos_io::{Error, FileEntry, Location};

use crate::app::App;
use crate::args::CpArgs;
use crate::exit::Failure;

/// What is to be copied.
pub(super) struct Plan {
    pub(super) jobs: Vec<Job>,
    /// Sources that lead to nothing, and why. The others are copied.
    pub(super) failures: Vec<(String, Failure)>,
    pub(super) to_stdout: bool,
}

/// A file and the place of its copy.
pub(super) struct Job {
    pub(super) source: FileEntry,
    pub(super) to: To,
}

/// Where a file is copied to.
pub(super) enum To {
    Stdout,
    Local {
        path: PathBuf,
        /// Whether directories on the way are made.
        make_parents: bool,
    },
    Remote(Location),
}

impl To {
    /// How messages call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Stdout => "-".into(),
            Self::Local { path, .. } => path.display().to_string(),
            Self::Remote(location) => location.display.clone(),
        }
    }
}

/// A file to copy, and the name of its copy in a directory.
struct Found {
    file: FileEntry,
    /// Within the directory that was named, or the name of the file.
    name: String,
    /// The directory that was named.
    directory: Option<String>,
}

/// Finds the sources and settles where each goes.
pub(super) async fn make(app: &App, args: &CpArgs) -> Result<Plan, Failure> {
    let (destination, named) = args.paths.split_last().ok_or_else(no_source)?;
    if !app.settings.datasets.is_empty() {
        return Err(Failure::usage("cp copies files that are named; --dataset is for verbs that read tables"));
    }
    let mut specs = named.to_vec();
    for list in &app.settings.files_from {
        specs.extend(eos_io::read_file_list(list)?);
    }
    if specs.is_empty() {
        return Err(no_source());
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for spec in &specs {
        match find(app, spec, args.recursive).await {
            Ok(files) => found.extend(files),
            Err(failure) => failures.push((eos_io::redact(spec), failure)),
        }
    }
    let directory = Directory::new(app, destination, specs.len() > 1 || found.len() > 1).await?;
    let several = found.iter().any(|one| one.directory.is_none()) && found.len() > 1;
    let mut taken = HashSet::new();
    let mut jobs = Vec::new();
    for one in found {
        let to = directory.place(&one, several)?;
        if !taken.insert(to.name()) && !matches!(to, To::Stdout) {
            let message = format!("two files would be copied to '{}'; copy them into two directories", to.name());
            return Err(Failure::usage(message));
        }
        jobs.push(Job { source: one.file, to });
    }
    Ok(Plan { jobs, failures, to_stdout: matches!(directory, Directory::Stdout) })
}

fn no_source() -> Failure {
    Failure::usage("cp needs a source and a destination: root-query cp SOURCE... DEST")
}

/// The files that a source means.
async fn find(app: &App, spec: &str, recursive: bool) -> Result<Vec<Found>, Failure> {
    let location = app.stores.resolve(spec)?;
    if recursive && !location.is_file().await? {
        let files = location.files_below().await?;
        if !files.is_empty() {
            let directory = location.path.filename().unwrap_or_default().to_owned();
            let name = |file: &FileEntry| location.relative(&file.location.path).unwrap_or_default();
            let found = |file| Found { name: name(&file), directory: Some(directory.clone()), file };
            return Ok(files.into_iter().map(found).collect());
        }
    }
    let is_in_directory = |file: &FileEntry| location.relative(&file.location.path).is_some();
    let files = match app.stores.expand(spec).await {
        Ok(files) if !recursive && files.iter().any(is_in_directory) => return Err(directory(spec)),
        Err(Error::EmptyDirectory { .. }) if !recursive => return Err(directory(spec)),
        files => files?,
    };
    let found = |file: FileEntry| {
        let name = file.location.path.filename().unwrap_or_default().to_owned();
        Found { file, name, directory: None }
    };
    Ok(files.into_iter().map(found).collect())
}

fn directory(spec: &str) -> Failure {
    Failure::usage(format!("'{}' is a directory; -r copies all that is in it", eos_io::redact(spec)))
}

/// What the destination is.
enum Directory {
    Stdout,
    /// The copy itself.
    File(Place),
    /// It holds the copies.
    Existing(Place),
    /// It will, and what is in a directory that is copied comes right below.
    New(Place),
}

enum Place {
    Local(PathBuf),
    Remote(Location),
}

impl Directory {
    async fn new(app: &App, destination: &str, several: bool) -> Result<Self, Failure> {
        if destination == "-" {
            return Ok(Self::Stdout);
        }
        let location = match eos_io::is_url(destination) {
            true => Some(app.stores.resolve(destination)?),
            false => None,
        };
        let (place, exists, is_file) = match location {
            Some(location) if location.local_path().is_none() => {
                let is_file = !destination.ends_with('/') && location.is_file().await?;
                let exists = !is_file && location.is_directory().await?;
                (Place::Remote(location), exists, is_file)
            }
            local => {
                let path = local.and_then(|l| l.local_path()).unwrap_or_else(|| PathBuf::from(destination));
                let (exists, is_file) = (path.is_dir(), path.is_file());
                (Place::Local(path), exists, is_file)
            }
        };
        if is_file && several {
            let message =
                format!("several files cannot be copied to '{}', which is a file", eos_io::redact(destination));
            return Err(Failure::usage(message));
        }
        Ok(match exists || destination.ends_with('/') {
            true => Self::Existing(place),
            false if several => Self::New(place),
            false => Self::File(place),
        })
    }

    /// Where a file goes. A directory that is copied alone to a name that is not there yet gets that name.
    fn place(&self, found: &Found, several: bool) -> Result<To, Failure> {
        let whole = match &found.directory {
            Some(directory) => format!("{directory}/{}", found.name),
            None => found.name.clone(),
        };
        Ok(match self {
            Self::Stdout => To::Stdout,
            Self::File(place) if found.directory.is_none() => place.itself(),
            Self::File(place) => place.below(&found.name),
            Self::New(place) if !several => place.below(&found.name),
            Self::New(place) | Self::Existing(place) => place.below(&whole),
        })
    }
}

impl Place {
    fn itself(&self) -> To {
        match self {
            Self::Local(path) => To::Local { path: path.clone(), make_parents: false },
            Self::Remote(location) => To::Remote(location.clone()),
        }
    }

    fn below(&self, name: &str) -> To {
        match self {
            Self::Local(path) => To::Local { path: path.join(Path::new(name)), make_parents: true },
            Self::Remote(location) => To::Remote(location.below(name)),
        }
    }
}
