//! An image made of packages: unpacked into one root file system, without a base image.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tokio::process::Command;

use super::recipe::{self, FirstBoot, Recipe};
use super::{Image, ImageError, LABEL_RECIPE, Say, apt, command, local};
use crate::docker::{Engine, RootFileSystem, Run};

const UNPACK: Duration = Duration::from_secs(120);
/// Packages unpacked at a time.
const AT_ONCE: usize = 2;

/// Builds the recipe's image, unless another process did so in the meantime.
pub(super) async fn build(
    engine: &Engine,
    recipe: &Recipe,
    progress: Say<'_>,
) -> Result<Image, ImageError> {
    let host = apt::host()?;
    super::tablet::same_architecture(engine).await?;
    let say = |text: &str| progress(&format!("{}: {text}", recipe.name));
    let lock = crate::docker::temporary_root().join(format!("{}.lock", recipe.name));
    let _lock = super::lock::BuildLock::take(&lock, &say).await?;
    if let Some(image) = local(engine, &recipe.reference()).await? {
        return Ok(image);
    }
    // The build is a run like any other: what a killed build leaves is found by its owner.
    let id = format!("image-{}-{}", recipe.name, Run::fresh_id());
    let run = Run::begin(engine, &id).await.map_err(ImageError::engine(&recipe.name))?;
    let built = Build { engine, recipe, run: &run, say: &say }.all(&host).await;
    let removed = run.remove().await.map_err(ImageError::engine(&recipe.name));
    built?;
    removed?;
    say("built");
    local(engine, &recipe.reference()).await?.ok_or_else(|| {
        ImageError::NoPackages(format!("{} vanished after its build", recipe.reference()))
    })
}

struct Build<'a> {
    engine: &'a Engine,
    recipe: &'a Recipe,
    run: &'a Run,
    say: Say<'a>,
}

impl Build<'_> {
    async fn all(&self, host: &apt::PackageHost) -> Result<(), ImageError> {
        let directory = self.run.directory();
        let recipe = self.recipe;
        let apt_directory = directory.join("apt");
        let files =
            apt::download(host, &apt_directory, &recipe.suite, &recipe.packages, self.say).await?;
        let root = directory.join("root");
        self.assemble(&root, &files).await?;
        let tar = directory.join("root.tar");
        let mut pack = Command::new("tar");
        pack.arg("--create")
            .args(["--owner=0", "--group=0", "--numeric-owner", "--directory"])
            .arg(&root)
            .arg("--file")
            .arg(&tar)
            .arg(".");
        command::run(&mut pack, UNPACK, &|_| ()).await?;
        match &recipe.first_boot {
            None => self.import(&recipe.tag(), &tar).await,
            Some(boot) => self.import_booted(boot, &tar).await,
        }
    }

    /// Unpacks the packages into one merged-usr root, and adds and removes what the recipe says.
    async fn assemble(&self, root: &Path, packages: &[PathBuf]) -> Result<(), ImageError> {
        let cannot = |path: &Path| ImageError::file(format!("cannot write {}", path.display()));
        for name in ["bin", "sbin", "lib", "lib64"] {
            let path = root.join("usr").join(name);
            std::fs::create_dir_all(&path).map_err(cannot(&path))?;
            let link = root.join(name);
            std::os::unix::fs::symlink(format!("usr/{name}"), &link).map_err(cannot(&link))?;
        }
        let wanted: Vec<_> = packages.iter().filter(|file| !self.left_out(file)).collect();
        (self.say)(&format!("unpacking {} packages", wanted.len()));
        let unpack = wanted.into_iter().map(|file| async move {
            let mut dpkg = Command::new("dpkg-deb");
            dpkg.arg("--extract").arg(file).arg(root);
            command::run(&mut dpkg, UNPACK, &|_| ()).await.map(|_| ())
        });
        futures::stream::iter(unpack).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        for name in &self.recipe.prune {
            let path = root.join(name);
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else if path.exists() {
                std::fs::remove_file(&path)
            } else {
                Ok(())
            };
            removed.map_err(cannot(&path))?;
        }
        for name in &self.recipe.directories {
            let path = root.join(name);
            std::fs::create_dir_all(&path).map_err(cannot(&path))?;
        }
        for (name, source) in &self.recipe.files {
            let path = root.join(name);
            std::fs::write(&path, recipe::file(source)).map_err(cannot(&path))?;
        }
        Ok(())
    }

    fn left_out(&self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        self.recipe.leave_out.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }

    /// Imports the root file system as it is after the recipe's first boot in a container.
    async fn import_booted(&self, boot: &FirstBoot, tar: &Path) -> Result<(), ImageError> {
        let recipe = self.recipe;
        let failed = || ImageError::engine(&recipe.name);
        let raw_tag = format!("raw-{}", recipe.tag());
        self.import(&raw_tag, tar).await?;
        let raw = format!("{}:{raw_tag}", recipe::repository(&recipe.name));
        (self.say)("first boot");
        let name = self.run.name("first-boot");
        let id = self
            .engine
            .create_plain(&name, &raw, &boot.command, &self.run.labels())
            .await
            .map_err(failed())?;
        self.engine.start_plain(&id).await.map_err(failed())?;
        let deadline = Duration::from_secs(boot.deadline_s);
        let exit_code = self.engine.wait_exit(&id, deadline).await.map_err(failed())?;
        if exit_code != 0 {
            let log = self.engine.last_log_lines(&id, 20).await.join("\n");
            return Err(ImageError::FirstBoot { image: recipe.name.clone(), exit_code, log });
        }
        (self.say)("importing");
        self.engine.export(&id, tar).await.map_err(failed())?;
        self.engine.remove(&id).await.map_err(failed())?;
        for path in &boot.forget {
            let mut forget = Command::new("tar");
            forget.arg("--delete").arg("--file").arg(tar).arg(path);
            command::run(&mut forget, UNPACK, &|_| ()).await?;
        }
        self.import(&recipe.tag(), tar).await?;
        self.engine.remove_image(&raw).await.map_err(failed())
    }

    async fn import(&self, tag: &str, tar: &Path) -> Result<(), ImageError> {
        let recipe = self.recipe;
        let command = serde_json::Value::from(recipe.command.clone());
        let mut changes = vec![format!("CMD {command}"), label(&recipe.name)];
        changes.extend(recipe.environment.iter().map(|line| format!("ENV {line}")));
        let repository = recipe::repository(&recipe.name);
        let import = self.engine.import(&repository, tag, RootFileSystem::File(tar), changes);
        import.await.map(|_| ()).map_err(ImageError::engine(&recipe.name))
    }
}

/// The instruction that marks an image as ours.
pub(super) fn label(name: &str) -> String {
    format!("LABEL {LABEL_RECIPE}={name}")
}
