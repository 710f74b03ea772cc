"""Files of the gallery: pictures, input images and thumbnails."""
