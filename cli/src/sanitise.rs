//! Makes host bytes harmless on a terminal, as the library does. Files and pipes never pass here.

pub(crate) use sshoal::sanitise::{is_harmless, one_line, sanitise};
