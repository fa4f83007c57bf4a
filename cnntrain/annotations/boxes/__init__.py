"""Folders of images with boxes: COCO JSON, YOLO and Pascal VOC XML, read into one table and checked."""
