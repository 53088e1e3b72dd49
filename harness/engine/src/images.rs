//! The three images of a cluster: MySQL, etcd and the tablet. Each is taken where it is found, and
//! built where it is not; a build is done once, however many runs wait for it.
//!
//! MySQL and etcd come from the distribution's packages by the recipes in `ci/images/` (real MySQL,
//! with an initialised data directory inside, and no base image). Where that cannot work (no `apt`,
//! no Debian keyring, a mirror that is down), the official image is taken: the one that lies here, or
//! else a registry's. The tablet is one static binary.

mod apt;
mod command;
mod lock;
mod packages;
mod patch;
mod programs;
mod recipe;
mod tablet;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::docker::{DockerError, Engine};

pub use patch::{Patch, PatchError};
pub use programs::{Program, ensure_programs};
pub use recipe::MYSQL_SETTINGS;
pub use recipe::Recipe;
pub use tablet::HELPER;
pub use tablet::helper;
pub use tablet::workspace_root;

/// The label of an image that a recipe of ours made; its value is the recipe's name.
pub(crate) const LABEL_RECIPE: &str = "vdiff-chaos.recipe";
/// How long a registry may take to say that it has an image; one with a server of tokens takes long.
const REGISTRY_ANSWERS: Duration = Duration::from_secs(20);
/// How long a pull may take.
const PULL: Duration = Duration::from_secs(600);

/// An image that exists on the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `repository:tag`.
    pub reference: String,
    /// `sha256:…`.
    pub id: String,
    /// Made by one of our recipes: command, data directory and settings are known.
    pub by_recipe: bool,
}

/// The images of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// MySQL.
    pub mysql: Image,
    /// etcd.
    pub etcd: Image,
    /// The tablet.
    pub tablet: Image,
    /// The memory helper, for containers of a tablet's image that has none; none: it is in that image.
    pub helper: Option<Arc<Vec<u8>>>,
}

impl Images {
    /// Their ids by name.
    #[must_use]
    pub fn ids(&self) -> BTreeMap<String, String> {
        [("mysql", &self.mysql), ("etcd", &self.etcd), ("tablet", &self.tablet)]
            .into_iter()
            .map(|(name, image)| (name.to_owned(), image.id.clone()))
            .collect()
    }
}

/// Which images to take; none of an image is `auto`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageOptions {
    /// Reference of a MySQL image, for instance `mysql:8.4`.
    pub mysql: Option<String>,
    /// Reference of an etcd image.
    pub etcd: Option<String>,
    /// Reference of a tablet image.
    pub tablet: Option<String>,
    /// The tablet with the known bugs compiled in (the zoo).
    pub seeded_bugs: bool,
}

/// Takes progress messages, one line each.
pub type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// An image is not there and could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The engine failed.
    #[error("image {image}: the engine failed")]
    Engine {
        /// Which image.
        image: String,
        /// Why.
        #[source]
        source: DockerError,
    },
    /// A command failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// Its last lines.
        output: String,
    },
    /// A command took too long.
    #[error("`{command}` did not end within {deadline:?}")]
    CommandDeadline {
        /// The command line.
        command: String,
        /// The limit.
        deadline: Duration,
    },
    /// A file could not be read or written.
    #[error("{what}")]
    File {
        /// What was attempted, on which path.
        what: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The packages' recipe cannot work on this host.
    #[error("cannot build from packages: {0}")]
    NoPackages(String),
    /// Neither packages nor a registry.
    #[error(
        "image {image}: {packages}; and the official image {official} cannot be had either. \
         Name one with --{image}-image, or run on a Debian host"
    )]
    NoSource {
        /// Which image.
        image: String,
        /// Why the recipe cannot work here.
        packages: String,
        /// The official image.
        official: String,
        /// The registry's failure.
        #[source]
        source: Box<DockerError>,
    },
    /// The first boot of an image failed.
    #[error("image {image}: first boot ended with {exit_code}: {log}")]
    FirstBoot {
        /// Which image.
        image: String,
        /// Exit code.
        exit_code: i64,
        /// Its last lines.
        log: String,
    },
    /// Another process builds, and does not come to an end.
    #[error("another process has held {lock} for {deadline:?}: is a build stuck?", lock = lock.display())]
    Locked {
        /// The lock file.
        lock: PathBuf,
        /// The limit.
        deadline: Duration,
    },
    /// There is nothing to build the tablet from.
    #[error(
        "the tablet's image must be built, but this is no checkout of vdiff-chaos (looked at {looked}): \
         name a ready image with --tablet-image"
    )]
    NoWorkspace {
        /// Where was looked.
        looked: String,
    },
    /// A patch that applied before does not any more.
    #[error("the tablet cannot be patched")]
    Patch(#[source] Box<PatchError>),
    /// A program of the user's cannot be put into an image.
    #[error("{}: {why}", path.display())]
    Program {
        /// The file.
        path: PathBuf,
        /// Why, and what is needed.
        why: String,
    },
    /// An image's architecture would not run.
    #[error("the engine runs on {engine}, this program on {host}: name images with --*-image")]
    Architecture {
        /// The engine's.
        engine: String,
        /// This program's.
        host: String,
    },
}

impl ImageError {
    pub(crate) fn engine(image: &str) -> impl FnOnce(DockerError) -> Self + '_ {
        move |source| Self::Engine { image: image.to_owned(), source }
    }

    pub(crate) fn file(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::File { what, source }
    }
}

/// Makes sure that all images exist, and says which they are.
pub async fn ensure(
    engine: &Engine,
    options: &ImageOptions,
    progress: Say<'_>,
) -> Result<Images, ImageError> {
    let (mysql, etcd) = ensure_servers(engine, options, progress).await?;
    let tablet = ensure_tablet(engine, options, progress).await?;
    Ok(Images { mysql, etcd, tablet, helper: None })
}

/// Makes sure that the images of the servers exist: MySQL's and etcd's.
pub async fn ensure_servers(
    engine: &Engine,
    options: &ImageOptions,
    progress: Say<'_>,
) -> Result<(Image, Image), ImageError> {
    let mysql = ensure_server(engine, &Recipe::mysql(), options.mysql.as_deref(), progress).await?;
    let etcd = ensure_server(engine, &Recipe::etcd(), options.etcd.as_deref(), progress).await?;
    Ok((mysql, etcd))
}

/// Makes sure that the tablet's image exists.
pub async fn ensure_tablet(
    engine: &Engine,
    options: &ImageOptions,
    progress: Say<'_>,
) -> Result<Image, ImageError> {
    match &options.tablet {
        Some(reference) => named(engine, reference, progress).await,
        None => tablet::ensure(engine, options.seeded_bugs, progress).await,
    }
}

/// Makes sure that the image of the patched tablet exists.
pub async fn ensure_patched_tablet(
    engine: &Engine,
    patch: &Patch,
    progress: Say<'_>,
) -> Result<Image, ImageError> {
    tablet::ensure_patched(engine, patch, progress).await
}

/// Makes sure that a server's image exists.
pub async fn ensure_server(
    engine: &Engine,
    recipe: &Recipe,
    named_image: Option<&str>,
    progress: Say<'_>,
) -> Result<Image, ImageError> {
    if let Some(reference) = named_image {
        return named(engine, reference, progress).await;
    }
    let reference = recipe.reference();
    if let Some(image) = local(engine, &reference).await? {
        return Ok(image);
    }
    let packages = match packages::build(engine, recipe, progress).await {
        Err(ImageError::NoPackages(why)) => Missing { why, news: false },
        Err(error) if is_of_packages(&error) => {
            Missing { why: crate::errors::chain(&error), news: true }
        }
        other => return other,
    };
    official(engine, recipe, packages, progress).await
}

/// A server's image, where it is here already.
///
/// # Errors
/// When the engine fails.
pub async fn server_here(engine: &Engine, recipe: &Recipe) -> Result<Option<Image>, ImageError> {
    match local(engine, &recipe.reference()).await? {
        Some(image) => Ok(Some(image)),
        None => local(engine, &recipe.official).await,
    }
}

/// Why packages were not taken.
struct Missing {
    why: String,
    /// The host could have had them, so the user is told in any case.
    news: bool,
}

/// A failure of the mirror, the packages or their first boot: the official image needs none of them. An
/// engine that failed would fail again, and a build that goes on elsewhere will end.
fn is_of_packages(error: &ImageError) -> bool {
    matches!(
        error,
        ImageError::Command { .. }
            | ImageError::CommandDeadline { .. }
            | ImageError::FirstBoot { .. }
            | ImageError::File { .. }
    )
}

/// The official image: the one that is here before a registry is asked.
async fn official(
    engine: &Engine,
    recipe: &Recipe,
    packages: Missing,
    progress: Say<'_>,
) -> Result<Image, ImageError> {
    let (name, official) = (&recipe.name, &recipe.official);
    if let Some(image) = local(engine, official).await? {
        if packages.news {
            progress(&format!("{name}: {}; taking {official}, which is here", packages.why));
        }
        return Ok(image);
    }
    progress(&format!("{name}: {}; asking for {official}", packages.why));
    let pulled = async {
        match engine.registry_has(official, REGISTRY_ANSWERS).await {
            // An engine that cannot ask (Podman, some mirrors) may well be able to pull.
            Err(error) if !error.is_about_asking() => return Err(error),
            Ok(()) | Err(_) => {}
        }
        engine.pull(official, PULL).await
    };
    match pulled.await {
        Ok(()) => named(engine, official, progress).await,
        Err(source) => Err(ImageError::NoSource {
            image: name.clone(),
            packages: packages.why,
            official: official.clone(),
            source: Box::new(source),
        }),
    }
}

/// The local images that this program has made, of all versions.
pub async fn list(engine: &Engine) -> Result<Vec<String>, ImageError> {
    let mut found = Vec::new();
    for name in ["mysql", "etcd", "tablet", "tablet-seeded", "tablet-patched", "vitess"] {
        let of = engine.images_of(&recipe::repository(name)).await;
        found.extend(of.map_err(ImageError::engine(name))?);
    }
    Ok(found)
}

/// Whether the recipes can work on this host: the first mirror, or what is missing.
pub fn packages_possible() -> Result<String, ImageError> {
    let host = apt::host()?;
    Ok(host.mirrors.first().cloned().unwrap_or_default())
}

/// The reference of this checkout's tablet image, built or not.
pub fn tablet_reference(seeded_bugs: bool) -> Result<String, ImageError> {
    tablet::reference(seeded_bugs).map(|(_, reference)| reference)
}

/// An image that somebody named: local, or pulled.
///
/// # Errors
/// When the engine fails, or there is no such image.
pub async fn named(
    engine: &Engine,
    reference: &str,
    progress: Say<'_>,
) -> Result<Image, ImageError> {
    if let Some(image) = local(engine, reference).await? {
        return Ok(image);
    }
    progress(&format!("pulling {reference}"));
    engine.pull(reference, PULL).await.map_err(ImageError::engine(reference))?;
    local(engine, reference).await?.ok_or_else(|| ImageError::Engine {
        image: reference.to_owned(),
        source: DockerError::Answer {
            operation: "pull",
            object: reference.to_owned(),
            lacks: "the image",
        },
    })
}

async fn local(engine: &Engine, reference: &str) -> Result<Option<Image>, ImageError> {
    let found = engine.image(reference).await.map_err(ImageError::engine(reference))?;
    Ok(found.map(|(id, labels)| Image {
        reference: reference.to_owned(),
        id,
        by_recipe: labels.contains_key(LABEL_RECIPE),
    }))
}
