//! Why there is no whole response.

use super::retry::RequestFailure;

/// No response of HubSpot is larger: 100 records of 10 KB are 1 MB. A body that never ends is cut off here.
pub(super) const MAX_BODY_BYTES: usize = 512 << 20;

/// Why there is no whole response.
#[derive(Debug)]
pub(super) enum TransportError {
    /// The request was not sent: DNS, connection or TLS failed.
    NotSent(reqwest::Error),
    /// It may have been received: reset, timeout, broken body.
    Interrupted(reqwest::Error),
    /// The body is larger than [`MAX_BODY_BYTES`].
    TooLarge,
}

impl TransportError {
    /// What the retry decision needs to know of it.
    pub(super) fn failure(&self) -> RequestFailure {
        match self {
            Self::NotSent(_) => RequestFailure::NotSent,
            Self::Interrupted(_) | Self::TooLarge => RequestFailure::Interrupted,
        }
    }

    /// Whether the request was sent.
    pub(super) fn is_sent(&self) -> bool {
        !matches!(self, Self::NotSent(_))
    }

    /// What went wrong, in words.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::NotSent(error) | Self::Interrupted(error) => chain(error),
            Self::TooLarge => format!("the answer passes {} MiB", MAX_BODY_BYTES >> 20),
        }
    }
}

/// An error and its causes as one sentence.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut sentence = error.to_string();
    // reqwest shows the URL, whose query is thousands of property names.
    if let Some(url) = error.url() {
        sentence = sentence.replace(&format!(" for url ({url})"), "");
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !sentence.contains(&cause_text) {
            sentence.push_str(": ");
            sentence.push_str(&cause_text);
        }
        source = cause.source();
    }
    sentence
}
