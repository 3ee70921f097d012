lvs lake
