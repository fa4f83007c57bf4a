"""Folders of images with annotations: masks, VOC, COCO and YOLO, read into one table. Found without torch."""
