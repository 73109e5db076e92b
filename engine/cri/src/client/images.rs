//! Calls about images.

use std::time::Duration;

use super::{CHANGE, Client, READ, call};
use crate::error::CallError;
use crate::v1::*;

impl Client {
    /// Every image present.
    pub async fn list_images(&self) -> Result<Vec<Image>, CallError> {
        let mut stub = self.images();
        call(
            "ListImages",
            "",
            READ,
            ListImagesRequest::default(),
            |m| async move { stub.list_images(m).await },
        )
        .await
        .map(|r| r.images)
    }

    /// The image of that name or id, if it is present.
    pub async fn image_status(&self, image: &str) -> Result<Option<Image>, CallError> {
        let message = ImageStatusRequest {
            image: Some(spec(image)),
            verbose: false,
        };
        let mut stub = self.images();
        call("ImageStatus", image, READ, message, |m| async move {
            stub.image_status(m).await
        })
        .await
        .map(|r| r.image)
    }

    /// Fetches an image from its registry within `deadline`; returns its id.
    pub async fn pull_image(
        &self,
        image: &str,
        auth: Option<AuthConfig>,
        deadline: Duration,
    ) -> Result<String, CallError> {
        let message = PullImageRequest {
            image: Some(spec(image)),
            auth,
            sandbox_config: None,
        };
        let mut stub = self.images();
        call("PullImage", image, deadline, message, |m| async move {
            stub.pull_image(m).await
        })
        .await
        .map(|r| r.image_ref)
    }

    /// Removes an image with all its tags. Repeatable.
    pub async fn remove_image(&self, image: &str) -> Result<(), CallError> {
        let message = RemoveImageRequest {
            image: Some(spec(image)),
        };
        let mut stub = self.images();
        call("RemoveImage", image, CHANGE, message, |m| async move {
            stub.remove_image(m).await
        })
        .await
        .map(drop)
    }

    /// The file systems that hold images.
    pub async fn image_fs_info(&self) -> Result<Vec<FilesystemUsage>, CallError> {
        let mut stub = self.images();
        call(
            "ImageFsInfo",
            "",
            READ,
            ImageFsInfoRequest {},
            |m| async move { stub.image_fs_info(m).await },
        )
        .await
        .map(|r| r.image_filesystems)
    }
}

fn spec(image: &str) -> ImageSpec {
    ImageSpec {
        image: image.to_owned(),
        ..Default::default()
    }
}
