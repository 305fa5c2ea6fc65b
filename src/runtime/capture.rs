//! The capture of a stack: one file that the links of all workers write to. Without the feature
//! `pcap` there is none.

use super::config::StackConfig;
use super::error::StartError;
use crate::link::Link;

/// The capture file, if the configuration names one.
#[cfg(feature = "pcap")]
pub(super) struct Capture(Option<crate::link::pcap::Recorder>);

#[cfg(feature = "pcap")]
impl Capture {
    /// Creates the file.
    pub(super) fn create(config: &StackConfig) -> Result<Self, StartError> {
        let Some(path) = &config.capture else { return Ok(Self(None)) };
        let origin = super::clock::Clock::new().unix_origin();
        Ok(Self(Some(crate::link::pcap::Recorder::create(path, origin)?)))
    }

    /// Records what crosses `link`.
    pub(super) fn tap(&self, link: Box<dyn Link + Send>) -> Box<dyn Link + Send> {
        match &self.0 {
            Some(recorder) => Box::new(crate::link::pcap::Tap::new(link, recorder.clone())),
            None => link,
        }
    }
}

/// No capture.
#[cfg(not(feature = "pcap"))]
pub(super) struct Capture;

#[cfg(not(feature = "pcap"))]
impl Capture {
    /// Does nothing.
    pub(super) fn create(_: &StackConfig) -> Result<Self, StartError> {
        Ok(Self)
    }

    /// Returns `link` as it is.
    pub(super) fn tap(&self, link: Box<dyn Link + Send>) -> Box<dyn Link + Send> {
        link
    }
}
