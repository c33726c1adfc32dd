"""What the pipeline's stages share: functions that compute and know no paths."""
