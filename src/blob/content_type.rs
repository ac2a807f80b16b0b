use alloc::string::{String, ToString};

macro_rules! content_types {
    ($($(#[$doc:meta])* $name:ident = $byte:literal, $mime:literal;)*) => {
        /// What kind of thing a blob's content is.
        ///
        /// ```
        /// use sapwood::ContentType;
        ///
        /// assert_eq!(ContentType::from("image/png"), ContentType::ImagePng);
        /// assert_eq!(ContentType::from("text/rust").as_str(), "text/rust");
        /// ```
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ContentType {
            $($(#[$doc])* $name,)*
            /// Any other, by its MIME type: at most [`MAX_CONTENT_TYPE_LENGTH`](crate::limits::MAX_CONTENT_TYPE_LENGTH) bytes.
            Mime(String),
        }

        impl ContentType {
            /// The MIME type.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $mime,)*
                    Self::Mime(name) => name,
                }
            }

            pub(super) fn byte(&self) -> u8 {
                match self {
                    $(Self::$name => $byte,)*
                    Self::Mime(_) => OTHER_TYPE,
                }
            }

            pub(super) fn of_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some(Self::$name),)*
                    _ => None,
                }
            }

            fn of_name(name: &str) -> Option<Self> {
                match name {
                    $($mime => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

content_types! {
    /// Bytes of which nothing is known.
    #[default]
    OctetStream = 0, "application/octet-stream";
    /// A PNG image.
    ImagePng = 1, "image/png";
    /// A JPEG image.
    ImageJpeg = 2, "image/jpeg";
    /// A WAV recording.
    AudioWav = 3, "audio/wav";
    /// An Ogg recording.
    AudioOgg = 4, "audio/ogg";
    /// An MP4 film.
    VideoMp4 = 5, "video/mp4";
    /// A LAS point cloud.
    PointCloudLas = 6, "application/vnd.las";
    /// Readings of an inertial measurement unit.
    SensorImu = 7, "application/x-imu";
    /// An embedding vector.
    Embedding = 8, "application/x-embedding";
    /// A document about other blobs.
    Metadata = 9, "application/x-metadata";
    /// Plain text.
    TextPlain = 10, "text/plain";
    /// JSON.
    Json = 11, "application/json";
}

/// The byte of a content type that is spelled out.
pub(super) const OTHER_TYPE: u8 = 255;

impl From<&str> for ContentType {
    fn from(name: &str) -> Self {
        Self::of_name(name).unwrap_or_else(|| Self::Mime(name.to_string()))
    }
}
